"""The command that installs the client on internet devices: what Microsoft documents, checked."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rollout.client import check_command

HOST = "cmg.example.com/CCM_Proxy_MutualAuth/72186325152220500"
GOOD = f'CCMSETUPCMD="CCMHOSTNAME={HOST} SMSSITECODE=P01"'


def with_more(more: str) -> str:
    return GOOD.removesuffix('"') + f' {more}"'


def test_the_consoles_command_is_fine() -> None:
    """The two required properties, as the console shows them; case does not count in names."""
    for text in (GOOD, f"ccmsetup.msi {GOOD}", GOOD.replace("SMSSITECODE", "SMSSiteCode"), f"  {GOOD}\n"):
        checked = check_command(text)
        assert checked.problems == ()
        assert checked.value("CCMHOSTNAME") == HOST
        assert checked.value("SMSSITECODE") == "P01"


def test_documented_extras_are_fine() -> None:
    """Parameters first, then properties: nothing to say."""
    text = GOOD.replace("CCMHOSTNAME", f"/mp:https://{HOST} /NoCRLCheck CCMHOSTNAME")
    text = text.removesuffix('"') + (
        " AADCLIENTAPPID=aa28e7f1-b88a-43cd-a2e3-f88b257c863b AADRESOURCEURI=https://server SMSMP=mp.example.com"
        ' PROVISIONTS=PRI20001 UPGRADETOLATEST"'
    )
    assert check_command(text).problems == ()


@pytest.mark.parametrize("length", [1024, 1025])
def test_more_than_1024_characters_fail(length: int) -> None:
    """1,024 characters pass, one more does not."""
    text = with_more("SMSMPLIST=" + "m" * (length - len(GOOD) - 11))
    assert len(text) == length
    checked = check_command(text)
    assert checked.usable is (length == 1024)
    assert any("1,025 characters" in problem.sentence for problem in checked.problems) is (length == 1025)


@pytest.mark.parametrize(
    ("text", "needle"),
    [
        ("", "CCMSETUPCMD is missing"),
        (f"CCMHOSTNAME={HOST} SMSSITECODE=P01", "CCMSETUPCMD is missing"),
        (GOOD.replace('"', ""), "not between two straight"),
        (GOOD.removesuffix('"'), "not between two straight"),
        (GOOD.replace('"', "\u201d"), "typographic"),
        (GOOD + " SMSMP=mp.example.com", "after the closing"),
        (with_more('FSP="a.example.com"'), "quotation marks within"),
        (GOOD.replace(" ", "\n"), "line break"),
        ('CCMSETUPCMD="SMSSITECODE=P01"', "CCMHOSTNAME is missing"),
        (f'CCMSETUPCMD="CCMHOSTNAME={HOST}"', "SMSSITECODE is missing"),
        (GOOD.replace("P01", ""), "SMSSITECODE is missing"),
        (GOOD.replace("P01", "AUTO"), "AUTO finds no site"),
        (GOOD.replace("P01", "P0001"), "three letters or digits"),
        (GOOD.replace("cmg.", "https://cmg."), "prefix such as https://"),
        (GOOD.replace("cmg.example.com", "cmg"), "fully qualified host name"),
        (GOOD.replace("/CCM_Proxy_MutualAuth/", "/other/"), "CCM_Proxy_MutualAuth"),
        (with_more("SMSSITECODE=P02"), "occurs 2 times"),
        (with_more("AADCLIENTAPPID=7"), "expected an ID (GUID)"),
        (with_more("AADRESOURCEURI=server"), "AADRESOURCEURI"),
        (with_more("PROVISIONTS="), "PROVISIONTS has no value"),
        (GOOD.replace("CCMHOSTNAME", f"/mp:{HOST} CCMHOSTNAME"), "does not start with https://"),
        (GOOD.replace("CCMHOSTNAME", "/uninstall CCMHOSTNAME"), "/uninstall removes"),
    ],
)
def test_what_fails_is_named(text: str, needle: str) -> None:
    """Each fault stops the command with a sentence of its own and an action."""
    checked = check_command(text)
    assert not checked.usable
    problem = next(problem for problem in checked.problems if needle in problem.sentence)
    assert problem.stops
    assert problem.next_action


@pytest.mark.parametrize(
    ("text", "needle", "action"),
    [
        (with_more("CCMHOSTNAM=x"), "property CCMHOSTNAM is not documented", "CCMHOSTNAME"),
        (with_more("ZEBRA=1"), "property ZEBRA is not documented", "Check the list"),
        (GOOD.replace("CCMHOSTNAME", "/NoCRLChek CCMHOSTNAME"), "parameter /NoCRLChek", "/NOCRLCHECK"),
        (with_more("/NoCRLCheck"), "written after a property", "before properties"),
        ('CCMSETUPCMD="CCMHOSTNAME=mp.example.com SMSSITECODE=P01"', "CCM_Proxy_MutualAuth", "Copy"),
        (GOOD.replace("CCMHOSTNAME", "/UsePKICert CCMHOSTNAME").replace('P01"', 'P01 AADRESOURCEURI=https://s"'),
         "/UsePKICert", "Remove it"),
    ],
)  # fmt: skip
def test_what_is_odd_is_named_but_may_be_meant(text: str, needle: str, action: str) -> None:
    """Unknown names and unusual forms are said, and do not stop the command."""
    checked = check_command(text)
    assert checked.usable
    problem = next(problem for problem in checked.problems if needle in problem.sentence)
    assert action in problem.next_action


@given(st.text(max_size=200))
@settings(max_examples=300, derandomize=True, deadline=None)
def test_any_text_is_answered(text: str) -> None:
    """Whatever is typed gets problems or none, never an exception; without the two properties it is unusable."""
    checked = check_command(text)
    assert checked.length == len(text.strip())
    if not checked.value("CCMHOSTNAME") or not checked.value("SMSSITECODE"):
        assert not checked.usable
