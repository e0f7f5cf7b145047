"""Names, tables and folders as people write them: spelling, text files, rows of CSV, and files on the disk."""
