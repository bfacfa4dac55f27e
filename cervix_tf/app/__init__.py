"""A model as a page for a browser or a phone, which works offline and sends no image anywhere."""
