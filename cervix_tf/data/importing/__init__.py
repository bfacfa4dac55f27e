"""What importers share: files of a folder, tables of a hospital, and the records that become a manifest."""
