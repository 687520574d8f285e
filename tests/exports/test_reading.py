"""Reading exports: every dialect, and all or nothing."""

from __future__ import annotations

import os
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from export_builders import (
    DATA,
    TAKEN,
    column,
    configmgr,
    configmgr_row,
    entra,
    entra_row,
    guid,
    intune,
    intune_row,
    read,
    refused,
)
from fleet_files import CONFIGMGR_HEADER, ENTRA_HEADER, INTUNE_HEADER, ORDERS, by_name, write_exports

from rollout.errors import UsageError
from rollout.exports.dialects import join_of, mdm_of, normalize, os_of
from rollout.exports.reading import read_exports
from sim.fleet.population import FleetModel, generate

# Dialects


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_every_encoding_and_separator_gives_the_same_fleet(
    tmp_path: Path, encoding: str, separator: str
) -> None:
    """An export gives the same fleet however it was saved, even with separators and umlauts inside quotes."""
    rows = [entra_row(1, displayName="Büro, PC; 7"), entra_row(2, model="Fünf\t5")]
    del rows[1]["model"]
    plain = read(entra(tmp_path, rows, "plain.csv"))
    other = read(entra(tmp_path, rows, "other.csv", encoding=encoding, separator=separator))
    assert other.fleet.digest == plain.fleet.digest
    assert other.fleet.names.tolist() == ["Büro, PC; 7", "PC-2"]


def test_utf_16_with_a_mark_is_read_in_either_order(tmp_path: Path) -> None:
    """Big-endian UTF-16 with a byte order mark is recognized like little-endian."""
    path = entra(tmp_path, [entra_row(1)])
    path.write_bytes(b"\xfe\xff" + path.read_text().encode("utf-16-be"))
    assert len(read(path).fleet) == 1


def test_preambles_and_blank_lines_are_passed_over(tmp_path: Path) -> None:
    """A #TYPE line, a sep= line and empty lines are neither devices nor errors."""
    path = entra(tmp_path, [entra_row(1)], first="sep=,\r\n")
    path.write_text(path.read_text() + "\n\n")
    assert len(read(path).fleet) == 1


def test_both_brand_names_and_both_header_styles_are_intune(tmp_path: Path) -> None:
    """The Intune export is recognized by received and requested names, with the old and the new brand."""
    received = read(intune(tmp_path, [intune_row(1)])).fleet
    old = tmp_path / "old.csv"
    old.write_text((tmp_path / "intune.csv").read_text().replace("Microsoft Entra", "Azure AD"))
    assert read(old).fleet.digest == received.digest
    asked = tmp_path / "asked.csv"
    names = {
        "Device ID": "DeviceId", "Device name": "DeviceName", "Microsoft Entra Device ID": "ReferenceId",
        "Managed by": "ManagementAgent", "OS": "DeviceType", "OS version": "OSVersion",
    }  # fmt: skip
    _, rows = (tmp_path / "intune.csv").read_text().split("\n", 1)
    text = ",".join(names.get(name, name) for name in INTUNE_HEADER) + "\n" + rows
    asked.write_text(text)
    assert read(asked).fleet.digest == received.digest


@pytest.mark.parametrize(
    ("text", "join"),
    [
        ("ServerAd", "hybrid"), ("Hybrid Azure AD joined", "hybrid"), ("Microsoft Entra hybrid joined", "hybrid"),
        ("AzureAd", "entra"), ("Azure AD joined", "entra"), ("Microsoft Entra joined", "entra"),
        ("Workplace", "registered"), ("Microsoft Entra registered", "registered"), ("", "unknown"),
    ],
)  # fmt: skip
def test_join_types_are_understood_in_all_spellings(text: str, join: str) -> None:
    """trustType, the portal's old words and its new ones mean the same."""
    assert join_of(text) == join


def test_unknown_join_type_is_refused_not_guessed() -> None:
    """An unknown join type is an error, not the level 'unknown'."""
    with pytest.raises(ValueError, match="ServerAd"):
        join_of("QuantumJoined")


@pytest.mark.parametrize(
    ("text", "os"),
    [
        ("Windows", "Windows"), ("Microsoft Windows NT Workstation 10.0", "Windows"),
        ("Microsoft Windows NT Advanced Server 10.0", "Windows Server"), ("Windows Server 2022", "Windows Server"),
        ("IPhone", "IPhone"), ("Windows Phone", "Windows Phone"), ("", ""),
    ],
)  # fmt: skip
def test_operating_systems_are_distinguished(text: str, os: str) -> None:
    """Neither a server nor a phone is ever mistaken for a client."""
    assert os_of(text) == os


def test_mdm_names_are_ours_or_stay_as_they_are() -> None:
    """ConfigMgr has two brand names, none has four; every other MDM keeps its name."""
    assert mdm_of("System Center Configuration Manager") == mdm_of("Microsoft Configuration Manager")
    assert {mdm_of(text) for text in ("", "None", "N/A", "-")} == {""}
    assert mdm_of("Fernside MDM") == "Fernside MDM"


def test_headers_are_compared_without_case_and_brand() -> None:
    """Two spellings of a header have the same normal form, two different headers do not."""
    assert normalize("\ufeffAzure AD Device ID") == normalize("microsoft entra  device id")
    assert normalize("Device ID") != normalize("DeviceId")


# All or nothing


def test_a_duplicate_id_is_refused_with_both_lines(tmp_path: Path) -> None:
    """The message names the second line and says where the ID occurred first."""
    error = refused(entra(tmp_path, [entra_row(1), entra_row(2), entra_row(1)]))
    assert "entra.csv, line 4, column 'deviceId'" in error.message
    assert "first in line 2" in error.message
    assert error.count == 1


def test_an_id_in_other_case_is_the_same_id(tmp_path: Path) -> None:
    """The case of an ID differs between systems, its meaning does not."""
    error = refused(entra(tmp_path, [entra_row(171), entra_row(5, deviceId=guid(171).upper())]))
    assert "line 3" in error.message


def test_a_bad_date_is_refused_with_its_place(tmp_path: Path) -> None:
    """One line names file, line, column, what was found and what was expected."""
    error = refused(entra(tmp_path, [entra_row(1), entra_row(2, approximateLastSignInDateTime="soon")]))
    assert error.message == (
        "entra.csv, line 3, column 'approximateLastSignInDateTime': "
        "expected a date such as 2026-03-04T05:06:07Z, found 'soon'"
    )


def test_several_bad_lines_show_the_first_and_count_the_rest(tmp_path: Path) -> None:
    """The first bad line is shown in full; the error has all of them, in order."""
    rows = [entra_row(n, accountEnabled="maybe", deviceId="x" if n % 2 else guid(n)) for n in range(1, 6)]
    error = refused(entra(tmp_path, rows))
    assert "and 4 more; list them with --rejected FILE" in error.message
    assert [rejected.line for rejected in error.rejected] == [2, 3, 4, 5, 6]
    assert error.count == 5


def test_the_kept_lines_are_capped_and_the_count_is_exact(tmp_path: Path) -> None:
    """Of a file with only bad lines, 10,000 are kept and all are counted."""
    error = refused(entra(tmp_path, (entra_row(n, accountEnabled="?") for n in range(12_345))))
    assert (len(error.rejected), error.count) == (10_000, 12_345)
    assert "12,344 more" in error.message


def test_missing_columns_are_named(tmp_path: Path) -> None:
    """The error about a missing required column names it as the console spells it."""
    path = tmp_path / "few.csv"
    path.write_text(
        "displayName,operatingSystem,deviceId,joinType (trustType),accountEnabled\nPC,Windows,x,ServerAd,True\n"
    )
    assert "'approximateLastSignInDateTime'" in refused(path).message


def test_a_column_twice_is_refused(tmp_path: Path) -> None:
    """With two columns of the same name, neither can be trusted."""
    path = entra(tmp_path, [entra_row(1)])
    path.write_text(path.read_text().replace("systemLabels", "deviceId"))
    assert "2 times" in refused(path).message


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"", "an empty file"),
        (b" \r\n\r\n", "an empty file"),
        (b"PK\x03\x04rest", "an Excel workbook"),
        (b"\xd0\xcf\x11\xe0rest", "an old Excel workbook"),
        (b"a,b,c\n1,2,3\n", "the header"),
        (",".join(ENTRA_HEADER).encode() + b"\n", "only a header line"),
    ],
)
def test_what_is_no_export_is_refused(tmp_path: Path, content: bytes, found: str) -> None:
    """Each kind of file that is not an export gets its own sentence."""
    path = tmp_path / "devices.csv"
    path.write_bytes(content)
    assert found in refused(path).message


def test_a_directory_and_a_missing_file_are_refused(tmp_path: Path) -> None:
    """Neither a folder nor a wrong name is a CSV file."""
    assert "a directory" in refused(tmp_path).message
    message = refused(tmp_path / "nowhere.csv").message
    assert message == "nowhere.csv: expected a readable CSV file, found No such file or directory"


def test_a_pipe_and_an_endless_line_are_refused(tmp_path: Path) -> None:
    """What cannot be read twice or has no lines is refused before it fills the memory."""
    os.mkfifo(tmp_path / "pipe.csv")
    assert "a pipe" in refused(tmp_path / "pipe.csv").message
    (tmp_path / "long.csv").write_bytes(b"a," * 40_000)
    assert "no line break" in refused(tmp_path / "long.csv").message


def test_dates_of_another_culture_get_a_hint(tmp_path: Path) -> None:
    """The hint says how to export dates that can be read."""
    path = configmgr(tmp_path, [configmgr_row(1, LastActiveTime="03/04/2026 10:00:00")])
    assert "en-US" in refused(path).hint


def test_a_quote_in_the_first_row_is_blamed_on_its_line(tmp_path: Path) -> None:
    """A broken second line does not hide which export it is."""
    path = entra(tmp_path, [entra_row(1), entra_row(2)], separator=";")
    path.write_text(path.read_text().replace("ServerAd", '"ServerAd', 1))
    message = refused(path).message
    assert "line 2" in message
    assert "never closed" in message


def test_a_nul_byte_is_refused_with_its_line(tmp_path: Path) -> None:
    """A NUL in the middle means damage; its line and position are named."""
    path = entra(tmp_path, [entra_row(1), entra_row(2)])
    path.write_bytes(path.read_bytes().replace(b"PC-2", b"PC\0-2"))
    message = refused(path).message
    assert "line 3" in message
    assert "NUL byte at character 3" in message


def test_wrong_encoding_is_refused_with_its_line_and_can_be_given(tmp_path: Path) -> None:
    """The error about invalid UTF-8 names the line; with the right encoding the file is read."""
    path = entra(tmp_path, [entra_row(1), entra_row(2, displayName="Büro")], encoding="cp1252")
    error = refused(path)
    assert "line 3" in error.message
    assert "--encoding" in error.hint
    assert read(path, encoding="cp1252").fleet.names.tolist() == ["PC-1", "Büro"]


@pytest.mark.parametrize("encoding", ["klingon", "rot13", "base64", "", "\0", "utf-16\n"])
def test_an_encoding_that_is_none_is_refused(tmp_path: Path, encoding: str) -> None:
    """An unknown encoding is a usage error, not a traceback."""
    with pytest.raises(UsageError, match="encoding"):
        read(entra(tmp_path, [entra_row(1)]), encoding=encoding)


def test_a_ragged_row_is_refused_with_its_line(tmp_path: Path) -> None:
    """A row with a field too many or too few is named with both numbers."""
    path = entra(tmp_path, [entra_row(1)])
    path.write_text(path.read_text() + "a,b,c\n")
    message = refused(path).message
    assert "line 3" in message
    assert "expected 17 fields, found 3" in message


def test_lines_are_counted_through_fields_that_span_lines(tmp_path: Path) -> None:
    """A quoted field may contain line breaks of every kind; later lines keep their numbers."""
    rows = [entra_row(1, registeredOwners="a\nb\r\nc\rd"), entra_row(2), entra_row(3, accountEnabled="?")]
    path = entra(tmp_path, rows)
    assert [rejected.line for rejected in refused(path).rejected] == [7]


def test_an_unclosed_quote_names_the_line_on_which_it_opens(tmp_path: Path) -> None:
    """A quotation mark that is never closed is reported where it opens, not at the end of the file."""
    path = entra(tmp_path, [entra_row(1), entra_row(2), entra_row(3)])
    path.write_text(path.read_text().replace("PC-2", '"PC-2'))
    assert "line 3" in refused(path).message


@pytest.mark.parametrize("bad", ["PC\n1", "PC\r1", "PC\x1f1", "PC\x7f", "PC\u2028", "x" * 300])
def test_control_characters_and_overlong_names_are_refused(tmp_path: Path, bad: str) -> None:
    """A name with a line break or a control character would break lists and reports."""
    assert "column 'displayName'" in refused(entra(tmp_path, [entra_row(1, displayName=bad)])).message


@pytest.mark.parametrize(
    "bad", ["", "PC-1", guid(1)[:-1], guid(1) + "\n" + guid(2), "0" * 8 + "-0000-0000-0000-" + "0" * 12]
)
def test_what_is_no_device_id_is_refused(tmp_path: Path, bad: str) -> None:
    """An Entra record without a valid ID cannot be distinguished from others."""
    assert "column 'deviceId'" in refused(entra(tmp_path, [entra_row(2), entra_row(1, deviceId=bad)])).message


def test_shifted_ids_do_not_pass_the_fast_check(tmp_path: Path) -> None:
    """Two IDs whose lengths add up to those of two valid IDs are both refused."""
    rows = [entra_row(1, deviceId=guid(1)[:-1]), entra_row(2, deviceId="0" + guid(2))]
    assert refused(entra(tmp_path, rows)).count == 2


@pytest.mark.parametrize("bad", ["0", "-5", "1.5", "99999999999", "١٢", "x", ""])
def test_what_is_no_resource_id_is_refused(tmp_path: Path, bad: str) -> None:
    """A ResourceID is a positive 32-bit number in plain digits."""
    assert "column 'ResourceID'" in refused(configmgr(tmp_path, [configmgr_row(1, ResourceID=bad)])).message


def test_bad_lines_can_be_left_out(tmp_path: Path) -> None:
    """With `allow_rejected`, good lines are read and bad lines are reported."""
    rows = [entra_row(1), entra_row(2, accountEnabled="?"), entra_row(3), entra_row(1)]
    taken = read(entra(tmp_path, rows), allow_rejected=True)
    assert taken.fleet.ids.tolist() == [guid(1), guid(3)]
    assert [rejected.line for rejected in taken.rejected] == [3, 5]
    assert taken.files[0][1:] == ("Entra devices (2 lines left out)", 2)


def test_nothing_but_bad_lines_is_refused_even_if_allowed(tmp_path: Path) -> None:
    """An inventory without devices is refused."""
    refused(entra(tmp_path, [entra_row(1, accountEnabled="?")]), allow_rejected=True)


def test_progress_counts_rows_of_all_files(tmp_path: Path) -> None:
    """Progress only grows and ends at the number of rows read."""
    reported: list[int] = []
    first = entra(tmp_path, (entra_row(n) for n in range(1, 25_001)))
    read(first, configmgr(tmp_path, [configmgr_row(1)]), progress=reported.append)
    assert reported == sorted(reported)
    assert len(reported) == 4
    assert reported[2:] == [25_000, 25_001]


def test_no_files_are_a_usage_error() -> None:
    """Without a file there is nothing to read."""
    with pytest.raises(UsageError):
        read_exports([], taken=TAKEN)


# Round trip, size, examples


@pytest.mark.parametrize("order", ["as drawn", *ORDERS])
def test_a_generated_fleet_survives_its_exports(tmp_path: Path, order: str) -> None:
    """Written as three exports in three dialects and read again, the fleet is the same, in any order of rows."""
    fleet = generate(FleetModel(clients=3000), 5, TAKEN).fleet
    if order in ORDERS:
        fleet = by_name(fleet, order)
    taken = read(*write_exports(fleet, tmp_path))
    back = taken.fleet
    assert back.ids.tolist() == fleet.ids.tolist()
    assert back.names.tolist() == fleet.names.tolist()
    assert back.resource_ids.tolist() == fleet.resource_ids.tolist()
    has_record = fleet.resource_ids >= 0
    assert (back.serials == fleet.serials)[has_record].all()
    for name in ("os", "os_version", "join", "model"):
        assert column(back, name) == column(fleet, name), name
    assert (np.array(column(back, "site")) == np.array(column(fleet, "site")))[has_record].all()
    for name, flags in fleet.flags.items():
        assert back.flags[name].tolist() == flags.tolist(), name
    for name, times in fleet.times.items():
        assert back.times[name].tolist() == times.tolist(), name


@pytest.mark.slow
def test_memory_per_row_is_bounded(tmp_path: Path) -> None:
    """Reading 60,000 rows instead of 30,000 needs the memory of their columns, not of their text."""
    peaks = []
    for n in (30_000, 60_000):
        fleet = generate(FleetModel(clients=n), 1, TAKEN).fleet
        paths = write_exports(fleet, tmp_path)
        del fleet
        tracemalloc.start()
        read(*paths)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert (peaks[1] - peaks[0]) / 30_000 < 1_500  # bytes a device, all three files


def test_the_example_exports_are_read_together() -> None:
    """The three example files give one fleet; the note says how ConfigMgr's records were joined."""
    taken = read(*(DATA / f"{name}-devices.csv" for name in ("intune", "entra", "configmgr")))
    assert [rows for _, _, rows in taken.files] == [14, 99, 94]
    assert len(taken.fleet) == 104
    assert "79 name" in taken.files[2][1]
    assert not taken.rejected


def test_the_example_headers_are_those_of_the_consoles() -> None:
    """The examples begin like the real exports, in three encodings."""
    assert (DATA / "entra-devices.csv").read_text("utf-8").splitlines()[0] == ",".join(ENTRA_HEADER)
    assert (DATA / "intune-devices.csv").read_text("utf-8-sig").splitlines()[0] == ";".join(INTUNE_HEADER)
    second = (DATA / "configmgr-devices.csv").read_text("utf-16").splitlines()[1]
    assert second.replace('"', "").split("\t") == CONFIGMGR_HEADER
