"""Files for bounce_template_file, good and bad ones, by name."""


def _failure(text: str) -> str:
    return f"failure_template = <<EOF\n{text}EOF\n"


FILES = {
    "nothing": "",
    "two": _failure("Subject: a\nFrom: b@c.example\n\none\n") + "delay_template = <<END\n\nEOF\nEND\n",
    "twice": _failure("Subject: first\n\none\n") + _failure("subject:second\n\ntwo\n"),
    "comments": "# x\n\n   \n" + _failure("# not a comment\n"),
    "macros": _failure("\n$myhostname ${mydomain?{yes}:{no}} $$x $(mail_name)\n$maximal_queue_lifetime_minutes\n"),
    "cautions": _failure("\n$delay_warning_time_weeks $maximal_queue_lifetime_seconds $delay_warning_time_hours\n"),
    "undefined": _failure("\n$nosuchparameter\nmore\n"),
    "unit": _failure("\n$delay_warning_time_fortnights\n"),
    "unknownheader": _failure("Subject: x\nBogus: y\n\nbody\n"),
    "emptyheader": _failure("Subject: \n\nbody\n"),
    "nocolon": _failure("Subject x\n\nbody\n"),
    "folded": _failure("Subject: x\n\tfolded\n\nbody\n"),
    "blanks": _failure("\nSubject: x\n \n\n\nbody\n\n\n"),
    "notext": _failure("Subject: x\n\n"),
    "empty": _failure(""),
    "noend": "failure_template = <<EOF\nSubject: x\n\nbody\n",
    "nomarker": "failure_template = <<\nSubject: x\n\nbody\n",
    "noequals": "some garbage\n" + _failure("\nbody\n"),
    "line": "failure_template = hello\n",
    "unknown": "other_template = <<EOF\nbody\nEOF\n",
    "spaces": "  failure_template   =   <<   EOF  \nSubject: x\n\nbody\nEOF  \nEOF\n",
    "subject8": _failure("Subject: gr\u00fcn\n\nbody\n"),
    "text8": _failure("Subject: x\n\ngr\u00fcn\n"),
    "charset": _failure("Charset: utf-8\n\ngr\u00fcn\n"),
    "inapplicable": "success_template = <<EOF\nSubject: x\nPostmaster-Subject: y\n\nbody\nEOF\n",
}
