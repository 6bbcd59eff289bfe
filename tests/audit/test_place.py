from gatepost.audit.place import place, place_of_table
from gatepost.config.configuration import Configuration
from gatepost.config.errors import ConfigError

MAIN_CF = "# first\ntransport_maps = hash:/t/transport, proxy:cidr:/t/nets\n"
MASTER_CF = "25 inet n - n - - smtpd\n -o smtpd_client_restrictions=pcre:/t/clients\n"


def test_a_mistake_gets_the_place_of_its_parameter() -> None:
    settings = Configuration.parse(MAIN_CF).settings
    placed = place(ConfigError("no such thing", parameter="transport_maps"), settings)
    assert str(placed) == "/etc/gatepost/main.cf, line 2: parameter transport_maps: no such thing"


def test_a_place_that_is_known_stays() -> None:
    error = ConfigError("wrong", path="/t/file", line=7)
    assert str(place(error, Configuration.parse(MAIN_CF).settings, "transport_maps")).startswith("/t/file, line 7: ")


def test_a_table_is_found_by_its_name_or_its_file() -> None:
    configuration = Configuration.parse(MAIN_CF, MASTER_CF)
    places = [configuration.settings, configuration.settings_for(configuration.master[0])]
    for text, parameter, line in (
        ("hash:/t/transport is unavailable. open /t/transport: No such file or directory", "transport_maps", 2),
        ("cidr map /t/nets, line 3: bad", "transport_maps", 2),
        ("pcre map /t/clients, line 1: bad", "smtpd_client_restrictions", 1),
    ):
        placed = place_of_table(text, places)
        assert placed is not None
        assert (placed.parameter, placed.line, placed.message) == (parameter, line, text)
    assert place_of_table("hash:/etc/aliases is unavailable. open /etc/aliases", places) is None
