"""gatepost lint: named checks of what a configuration means, each with its place, its remedy and its page.

A family of checks is a file; each check is a generator registered under its name (`registry`), reads the configuration
through a `Subject` and yields a remark for each place where it has something to say.
"""
