"""The formatters that are shipped: table, tree, json, xml."""
