"""The command line with which Intune installs the ConfigMgr client on internet devices (path 2).

    CCMSETUPCMD="CCMHOSTNAME=cmg.example.com/CCM_Proxy_MutualAuth/72186325152220500 SMSSITECODE=P01"

The console shows it once a cloud management gateway exists. Rules from Microsoft's pages on client installation
properties and on preparing internet-based devices; everything that is checked here is written there.
"""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

LENGTH_MAX = 1024
"""Maximum length of a command line in Intune, in characters."""

PARAMETERS = (
    "AllowMetered", "AlwaysExcludeUpgrade", "BITSPriority", "config", "downloadtimeout", "ExcludeFeatures",
    "forceinstall", "forcereboot", "IgnoreSkipUpgrade", "logon", "mp", "NoCRLCheck", "noservice", "regtoken",
    "retry", "service", "skipprereq", "source", "uninstall", "UsePKICert",
)  # fmt: skip
"""Parameters of ccmsetup.exe, written with a slash."""

PROPERTIES = (
    "AADCLIENTAPPID", "AADRESOURCEURI", "AADTENANTID", "AADTENANTNAME", "CCMADMINS", "CCMALLOWSILENTREBOOT",
    "CCMALWAYSINF", "CCMCERTISSUERS", "CCMCERTNAMECHECK", "CCMCERTSEL", "CCMCERTSTORE", "CCMDEBUGLOGGING",
    "CCMENABLELOGGING", "CCMEVALHOUR", "CCMEVALINTERVAL", "CCMFIRSTCERT", "CCMHOSTNAME", "CCMHTTPPORT",
    "CCMHTTPSPORT", "CCMINSTALLDIR", "CCMLOGLEVEL", "CCMLOGMAXHISTORY", "CCMLOGMAXSIZE", "DISABLECACHEOPT",
    "DISABLESITEOPT", "DNSSUFFIX", "FSP", "IGNOREAPPVVERSIONCHECK", "MANAGEDINSTALLER", "NOTIFYONLY",
    "PROVISIONTS", "RESETKEYINFORMATION", "SITEREASSIGN", "SMSCACHEDIR", "SMSCACHEFLAGS", "SMSCACHESIZE",
    "SMSCONFIGSOURCE", "SMSMP", "SMSMPLIST", "SMSPUBLICROOTKEY", "SMSROOTKEYPATH", "SMSSIGNCERT",
    "SMSSITECODE", "UPGRADETOLATEST",
)  # fmt: skip
"""Properties of client.msi."""

REQUIRED = ("CCMHOSTNAME", "SMSSITECODE")

_SHAPE = re.compile(
    r'\s*(?:ccmsetup\.msi\s+)?CCMSETUPCMD\s*=\s*"(?P<inner>.*)"(?P<rest>[^"]*)', re.IGNORECASE | re.DOTALL
)
_WORD = re.compile(r"(?:[^\s]+)")
_HOST = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)+", re.IGNORECASE)
_GATEWAY = re.compile(r"(?P<host>[^/]+)/CCM_Proxy_MutualAuth/\d+", re.IGNORECASE)
_GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_SITE = re.compile(r"[A-Z0-9]{3}", re.IGNORECASE)
_CURLY = "\u201c\u201d\u201e\u00ab\u00bb\u2018\u2019"
_EXAMPLE = 'CCMSETUPCMD="CCMHOSTNAME=<gateway>/CCM_Proxy_MutualAuth/<number> SMSSITECODE=<code>"'


@dataclass(frozen=True, slots=True)
class Problem:
    """A problem. stops : the installation fails or the client cannot reach its site; otherwise only worth checking."""

    stops: bool
    sentence: str
    next_action: str


@dataclass(frozen=True, slots=True)
class ClientCommand:
    """A checked command. properties, parameters : (name as written, value), in order."""

    length: int
    properties: tuple[tuple[str, str], ...]
    parameters: tuple[tuple[str, str], ...]
    problems: tuple[Problem, ...]

    @property
    def usable(self) -> bool:
        """Return whether no problem stops it."""
        return not any(problem.stops for problem in self.problems)

    def value(self, name: str) -> str:
        """Return the value of the property `name` (upper case), "" if it is missing."""
        return next((value for written, value in self.properties if written.upper() == name), "")


def check_command(text: str) -> ClientCommand:
    """Check a command line copied from the console or typed into Intune. Never raises."""
    plain = text.strip()
    problems = list(_shape_problems(plain))
    match = _SHAPE.fullmatch(plain)
    inner = match["inner"] if match else re.sub(r'^.*?CCMSETUPCMD\s*=\s*"?|"', "", plain, flags=re.IGNORECASE)
    words = _WORD.findall(inner)
    parameters = tuple(_parted(word[1:], ":") for word in words if word.startswith("/"))
    properties = tuple(_parted(word, "=") for word in words if not word.startswith("/"))
    made = ClientCommand(len(plain), properties, parameters, ())
    problems += [*_name_problems(made, words), *_value_problems(made)]
    return ClientCommand(made.length, properties, parameters, tuple(problems))


def _parted(word: str, mark: str) -> tuple[str, str]:
    name, _, value = word.partition(mark)
    return name, value


def _shape_problems(plain: str) -> Iterator[Problem]:
    if len(plain) > LENGTH_MAX:
        yield Problem(
            True,
            f"The command has {len(plain):,} characters; Intune accepts at most {LENGTH_MAX:,}.",
            "Remove optional properties; only CCMHOSTNAME and SMSSITECODE are required.",
        )
    if any(letter in plain for letter in _CURLY):
        yield Problem(
            True,
            "The command contains typographic quotation marks.",
            'Type straight ones ("); copying from a document may change them.',
        )
    if any(ord(letter) < 32 for letter in plain):
        yield Problem(
            True, "The command contains a line break or a control character.", "Write it on a single line."
        )
    match = _SHAPE.fullmatch(plain)
    if "CCMSETUPCMD" not in plain.upper():
        yield Problem(
            True,
            "CCMSETUPCMD is missing: ccmsetup.msi passes on only its value.",
            f"Write {_EXAMPLE}.",
        )
    elif match is None:
        yield Problem(
            True,
            'The value of CCMSETUPCMD is not between two straight quotation marks (").',
            f"Write {_EXAMPLE}.",
        )
    elif match["rest"].strip():
        yield Problem(
            True,
            f"'{match['rest'].strip()[:40]}' is after the closing quotation mark and has no effect.",
            "Move it between the quotation marks.",
        )
    if match and '"' in match["inner"]:
        yield Problem(
            True, "The value contains quotation marks within the quotation marks: it ends at the first.",
            "Use values without spaces, which need no quotation marks.",
        )  # fmt: skip


def _name_problems(made: ClientCommand, words: Sequence[str]) -> Iterator[Problem]:
    names = [name.upper() for name, _ in made.properties]
    for name in REQUIRED:
        if not made.value(name):
            yield Problem(True, f"{name} is missing or empty.", f"Both properties are required: {_EXAMPLE}.")
    for name, value in made.properties:
        if name.upper() not in PROPERTIES:
            yield _unknown("property", name, PROPERTIES)
        elif not value and name.upper() not in (*REQUIRED, "CCMALLOWSILENTREBOOT", "UPGRADETOLATEST"):
            yield Problem(True, f"{name} has no value.", f"Write {name.upper()}=value, without spaces.")
    for name, _ in made.parameters:
        if name.casefold() not in {parameter.casefold() for parameter in PARAMETERS}:
            yield _unknown("parameter", f"/{name}", [f"/{parameter}" for parameter in PARAMETERS])
    for name, times in Counter(names).items():
        if times > 1:
            yield Problem(True, f"{name} occurs {times} times.", "Keep only the right one.")
    first = next((at for at, word in enumerate(words) if not word.startswith("/")), len(words))
    late = [word.split(":")[0] for word in words[first:] if word.startswith("/")]
    if late:
        yield Problem(
            False,
            f"{' and '.join(late)}: written after a property.",
            "Write parameters (with /) before properties.",
        )


def _unknown(what: str, name: str, known: Sequence[str]) -> Problem:
    near = difflib.get_close_matches(name.upper(), [documented.upper() for documented in known], n=1)
    action = f"Did you mean {near[0]}?" if near else "Check the list of client installation properties."
    return Problem(False, f"The {what} {name} is not documented.", action)


def _value_problems(made: ClientCommand) -> Iterator[Problem]:
    if host := made.value("CCMHOSTNAME"):
        yield from _host_problems(host)
    code = made.value("SMSSITECODE")
    if code.upper() == "AUTO":
        yield Problem(True, "SMSSITECODE=AUTO finds no site from the internet.", "Write the site code.")
    elif code and not _SITE.fullmatch(code):
        yield Problem(
            True, f"SMSSITECODE: expected three letters or digits, found '{code}'.", "Write the site code."
        )
    for name in ("AADCLIENTAPPID", "AADTENANTID"):
        if (value := made.value(name)) and not _GUID.fullmatch(value):
            yield Problem(
                True, f"{name}: expected an ID (GUID), found '{value}'.", "Copy it from Entra again."
            )
    uri = made.value("AADRESOURCEURI")
    if uri and ":" not in uri:
        yield Problem(
            True,
            f"AADRESOURCEURI: expected a URI such as https://name, found '{uri}'.",
            "Copy the App ID URI from Entra.",
        )
    given = {name.casefold() for name, _ in made.parameters}
    mp = next((value for name, value in made.parameters if name.casefold() == "mp"), "")
    if "CCM_PROXY" in mp.upper() and not mp.casefold().startswith("https://"):
        yield Problem(True, "/mp of a gateway does not start with https://.", "Write /mp:https://<gateway>/…")
    if "usepkicert" in given and (made.value("AADCLIENTAPPID") or made.value("AADRESOURCEURI")):
        yield Problem(
            False,
            "/UsePKICert prevents the client from getting the gateway's Entra information.",
            "Remove it if the client authenticates with Entra ID.",
        )
    if "uninstall" in given:
        yield Problem(True, "/uninstall removes the client.", "Remove this parameter.")


def _host_problems(host: str) -> Iterator[Problem]:
    if "://" in host:
        yield Problem(
            True, "CCMHOSTNAME has a prefix such as https://.", "Remove the prefix; only /mp has one."
        )
        return
    gateway = _GATEWAY.fullmatch(host)
    if not _HOST.fullmatch(gateway["host"] if gateway else host.split("/")[0]):
        yield Problem(
            True,
            f"CCMHOSTNAME: expected a fully qualified host name, found '{host[:60]}'.",
            "Copy the command from the console.",
        )
    elif gateway is None:
        yield Problem(
            "/" in host,
            f"CCMHOSTNAME: expected <gateway>/CCM_Proxy_MutualAuth/<number>, found '{host[:60]}'.",
            "Copy the command from the console: Cloud Attach > the co-management object > Properties > Enablement.",
        )
