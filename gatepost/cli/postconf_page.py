"""postconf as a subcommand: its manual page, else the command itself."""

from gatepost.cli import postconf
from gatepost.cli.options import ManualPage

_DESCRIPTION = """\
Shows the values of main.cf parameters (with the defaults of those that are not set), or the services of master.cf, in
the form of postconf(1). It only shows: main.cf and master.cf are changed with an editor.
"""
_OPTIONS = (
    ("-n", "parameters that main.cf sets"),
    ("-d", "defaults, whatever main.cf says"),
    ("-h", "values without names"),
    ("-H", "names without values"),
    ("-x", "values with $name expanded"),
    ("-f", "fold long lines"),
    ("-p", "main.cf (default)"),
    ("-M", "services of master.cf; NAME is name/type"),
    ("-F", "fields of services; NAME is name/type/field"),
    ("-P", "-o parameters of services; NAME is name/type/parameter"),
    ("-b", "the texts of notices, with values for names; NAME is a file in the place of bounce_template_file"),
    ("-t", "the texts of notices as they may stand in bounce_template_file; NAME as with -b"),
    ("-v", "accepted; no effect"),
)


def main(arguments: list[str], directory: str) -> int:
    """Run postconf; the exit status."""
    if "--help" in arguments:
        print(_page().format_help(), end="")
        return 0
    return postconf.main(arguments, config_directory=directory)


def _page() -> ManualPage:
    page = ManualPage(
        "postconf",
        "show configuration parameters",
        "[-c DIR] [-dfhHnpvx] [-C CLASS] [-o NAME=VALUE] [NAME...]\n[-c DIR] [-fHhvx] -M | -F | -P [NAME...]\n"
        "[-c DIR] -b | -t [FILE]",
        _DESCRIPTION,
        "0: shown. 1: the files cannot be read, or the command line makes no sense.",
    )
    for option, text in _OPTIONS:
        page.add_argument(option, action="store_true", help=text)
    page.add_argument("-C", metavar="CLASS", help="parameters of this class: builtin, service, user, all")
    page.add_argument("-o", metavar="NAME=VALUE", help="as if main.cf said so")
    page.add_argument("NAME", nargs="*", help="only these parameters or services")
    return page
