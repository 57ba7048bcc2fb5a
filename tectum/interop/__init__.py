"""Other programs of the field: their files, written as they want them."""
