"""main.cf and master.cf: the parameter registry, the files and their language."""
