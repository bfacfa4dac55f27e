"""TODO: authors. Title. Journal, year, DOI."""
