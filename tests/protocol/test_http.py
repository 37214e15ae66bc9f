from __future__ import annotations

import pytest

from botticelli.protocol.http import ResponseHead


@pytest.mark.parametrize(("status", "good"), [(199, False), (200, True), (299, True), (300, False)])
def test_a_2xx_is_a_success(status: int, good: bool) -> None:
    assert ResponseHead(status=status).is_success == good


def test_the_content_type_is_empty_where_there_is_none() -> None:
    assert ResponseHead().content_type == ""
    assert ResponseHead(headers={"content-type": "text/plain"}).content_type == "text/plain"
