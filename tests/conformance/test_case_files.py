"""The case files themselves: all of them can be used, and say what they must."""

from __future__ import annotations

from botticelli.kit.cases import case_files, cases_folder, check_folder


def test_every_case_file_can_be_used() -> None:
    assert list(check_folder(cases_folder())) == []
    assert len(case_files(cases_folder())) > 200
