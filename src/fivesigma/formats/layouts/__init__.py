"""What the columns of known formats are: each layout makes Events of a table."""
