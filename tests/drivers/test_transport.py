from __future__ import annotations

import os
import ssl
import sys
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from botticelli import AsyncHuggingFaceDriver, ConfigurationError, HuggingFaceDriver, Timeouts
from botticelli.drivers import httpx_errors
from botticelli.drivers.connection import ConnectionMonitor
from botticelli.drivers.proxies import find_proxy
from botticelli.protocol.deadlines import Deadlines
from botticelli.protocol.retry import RetryPolicy

if TYPE_CHECKING:
    from pathlib import Path

KINDS = [HuggingFaceDriver, AsyncHuggingFaceDriver]


def make(kind: Any, base_url: str = "https://h/v1", **options: Any) -> Any:
    return kind.with_api_token("hf_x", "m", base_url=base_url, **options)


# Settings of the environment that httpx chokes on.


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY"])
def test_a_socks_proxy_without_its_package(monkeypatch: pytest.MonkeyPatch, kind: Any, name: str) -> None:
    monkeypatch.setitem(sys.modules, "socksio", None)
    monkeypatch.setenv(name, "socks5://user:Canary@127.0.0.1:1")
    with pytest.raises(ConfigurationError, match="proxy") as caught:
        make(kind)
    assert name.upper() in str(caught.value)
    assert "httpx[socks]" in str(caught.value)
    assert "Canary" not in str(caught.value)
    assert caught.value.__context__ is None


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("url", ["gopher://user:Canary@h", "http://h:Canary"])
def test_a_proxy_that_is_none(monkeypatch: pytest.MonkeyPatch, kind: Any, url: str) -> None:
    monkeypatch.setenv("ALL_PROXY", url)
    with pytest.raises(ConfigurationError, match="ALL_PROXY") as caught:
        make(kind)
    assert "Canary" not in str(caught.value)
    assert caught.value.__context__ is None


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["NO_PROXY", "no_proxy"])
@pytest.mark.parametrize("entries", ["fd07:b51a:cc66:f0::/64", "localhost,::1,[::1]", "::1/128,[fe80::]/10"])
def test_ipv6_in_no_proxy_is_no_mistake(
    monkeypatch: pytest.MonkeyPatch, kind: Any, name: str, entries: str
) -> None:
    monkeypatch.setenv(name, entries)
    assert make(kind).provider_name == "huggingface"
    monkeypatch.setenv("HTTPS_PROXY", "http://p:1")
    assert make(kind).provider_name == "huggingface"
    monkeypatch.setenv("HTTPS_PROXY", "gopher://user:Canary@h")
    with pytest.raises(ConfigurationError, match="HTTPS_PROXY") as caught:
        make(kind)
    assert "Canary" not in str(caught.value)
    assert caught.value.__context__ is None


@pytest.mark.parametrize(
    ("base_url", "entries", "direct"),
    [
        ("https://h/v1", "", False),
        ("https://h/v1", " , ", False),
        ("https://h/v1", "*", True),
        ("https://h/v1", "fd07::/64,h", True),
        ("https://H/v1", "h", True),
        ("https://a.example.com/v1", "example.com", True),
        ("https://a.example.com/v1", ".Example.com", True),
        ("https://a.example.com/v1", "*.example.com", True),
        ("https://notexample.com/v1", "example.com", False),
        ("https://h/v1", "h:443", True),
        ("https://h:8443/v1", "h:443", False),
        ("https://h:8443/v1", "h", True),
        ("https://h/v1", "https://h", True),
        ("https://h/v1", "all://h", True),
        ("https://h/v1", "http://h", False),
        ("https://[fd07::5]/v1", "fd07::/64", True),
        ("https://[fd07:0:0:1::5]/v1", "fd07::/64", False),
        ("https://[fd07::5]/v1", "fd07::9/64", True),
        ("https://[fd07::5]/v1", "[fd07::]/64", True),
        ("https://[::1]/v1", "[::1]", True),
        ("https://[::1]/v1", "0:0:0:0:0:0:0:1", True),
        ("https://[::1]:8443/v1", "[::1]:443", False),
        ("https://[::1]:8443/v1", "[::1]:8443", True),
        ("https://127.0.0.1/v1", "127.0.0.0/8", True),
        ("https://127.0.0.1/v1", "10.0.0.0/8,[::1]", False),
        ("https://h/v1", "fd07::/64,[::1],[nonsense", False),
    ],
)
def test_whether_a_server_is_reached_by_a_proxy(
    monkeypatch: pytest.MonkeyPatch, base_url: str, entries: str, direct: bool
) -> None:
    monkeypatch.setenv("NO_PROXY", entries)
    monkeypatch.setenv("HTTPS_PROXY", "http://p:1")
    assert find_proxy(base_url) == (None if direct else "http://p:1")


def test_the_proxy_is_the_schemes_or_the_one_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    assert find_proxy("http://h/v1") is None
    monkeypatch.setenv("ALL_PROXY", "p:1")
    assert find_proxy("http://h/v1") == "http://p:1"
    monkeypatch.setenv("HTTPS_PROXY", "http://q:2")
    assert find_proxy("http://h/v1") == "http://p:1"
    assert find_proxy("https://h/v1") == "http://q:2"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["SSL_CERT_FILE", "SSL_CERT_DIR"])
def test_certificates_that_are_not_there(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, kind: Any, name: str
) -> None:
    monkeypatch.setenv(name, str(tmp_path / "nowhere"))
    with pytest.raises(ConfigurationError, match=name) as caught:
        make(kind)
    assert caught.value.setting == name
    with_http = make(kind, "http://h/v1")  # which needs none
    assert with_http.model_name == "m"


def test_certificates_that_are_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "certificates.pem"
    file.write_text("nonsense")
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    with pytest.raises(ConfigurationError, match="SSL_CERT_FILE"):
        make(HuggingFaceDriver)


# TLS.


def test_the_authorities_are_loaded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[ssl.SSLContext] = []
    real = httpx.create_ssl_context

    def counted() -> ssl.SSLContext:
        made.append(real())
        return made[-1]

    monkeypatch.setattr(httpx_errors, "_contexts", {})
    monkeypatch.setattr(httpx, "create_ssl_context", counted)
    for kind in (*KINDS, *KINDS):
        make(kind)
    assert len(made) == 1
    assert made[0].verify_mode == ssl.CERT_REQUIRED
    assert made[0].check_hostname


def test_without_tls_no_authority_is_loaded_and_none_trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(httpx_errors, "_contexts", {})
    make(HuggingFaceDriver, "http://h/v1").close()
    assert httpx_errors._contexts == {}  # pyright: ignore[reportPrivateUsage] -- what it is about


# httpx's exceptions.


def fault(error: Exception, *, answered: bool = False, heard: bool = False, proxy: str | None = None) -> Any:
    call = Deadlines(Timeouts(), RetryPolicy(), streaming=True)
    call.start(0.0)
    call.begin(0.0)
    call.read_limit(0.0)
    if heard or answered:
        call.on_bytes()
    if answered:
        call.on_head()
    line = ConnectionMonitor(call, httpx.URL("http://h/v1"))
    line.proxy = proxy
    return httpx_errors.error_of(error, line, 1.0, lambda text: text.replace("Canary", "***"))


@pytest.mark.parametrize(
    ("error", "answered", "kind", "word"),
    [
        (httpx.PoolTimeout(""), False, "timeout", "pool"),
        (httpx.ConnectTimeout(""), False, "timeout", "connect"),
        (httpx.WriteTimeout(""), False, "timeout", "first_byte"),
        (httpx.ReadTimeout(""), False, "timeout", "first_byte"),
        (httpx.ReadTimeout(""), True, "timeout", "idle"),
        (httpx.ConnectError("[Errno 111] Connection refused"), False, "connect", "a server listens"),
        (httpx.ConnectError("[SSL: CERTIFICATE_VERIFY_FAILED]"), False, "connect", "SSL_CERT_FILE"),
        (
            httpx.ConnectError("[SSL: CERTIFICATE_VERIFY_FAILED] Hostname mismatch, not valid for 'h'."),
            *(False, "connect", "another host's"),
        ),
        (
            httpx.ConnectError("[SSL: CERTIFICATE_VERIFY_FAILED] IP address mismatch, not valid for '::1'."),
            *(False, "connect", "another host's"),
        ),
        (httpx.ConnectError("[SSL: WRONG_VERSION_NUMBER]"), False, "connect", "http://"),
        (httpx.ConnectError("Name or service not known"), False, "connect", "host's name"),
        (httpx.ProxyError("407"), False, "connect", "407"),
        (httpx.ReadError(""), False, "connection_lost", "ReadError"),
        (httpx.WriteError(""), False, "connection_lost", "WriteError"),
        (httpx.ReadError(""), True, "connection_lost", "in the answer"),
        (httpx.RemoteProtocolError("Server disconnected"), False, "connection_lost", "before an answer"),
        (httpx.RemoteProtocolError("<ConnectionTerminated>"), False, "connection_lost", "before an answer"),
        (httpx.RemoteProtocolError("illegal status line"), False, "connection_lost", "doesn't speak HTTP"),
        (httpx.RemoteProtocolError("peer closed connection"), True, "connection_lost", "in the answer"),
        (httpx.RemoteProtocolError("<StreamReset>"), True, "connection_lost", "in the answer"),
        (httpx.RemoteProtocolError("illegal chunk"), True, "malformed_response", "breaks HTTP"),
        (httpx.DecodingError("zlib"), True, "malformed_response", "decompressed"),
        (httpx.UnsupportedProtocol("no"), False, "configuration", "can't be sent"),
        (httpx.InvalidURL("no"), False, "configuration", "can't be sent"),
        (httpx.LocalProtocolError("no"), False, "configuration", "can't be sent"),
        (RuntimeError("the client has been closed"), False, "configuration", "client is closed"),
        (RuntimeError("Event loop is closed"), False, "configuration", "one driver per event loop"),
        (RuntimeError("got Future attached to a different loop"), False, "configuration", "event loop"),
        (OSError("broken"), False, "connection_lost", "broken"),
        (OSError("broken"), True, "connection_lost", "broken"),
        (KeyError("what"), False, "configuration", "KeyError"),
        (KeyError("what"), True, "connection_lost", "what"),
        (ConfigurationError("ours"), False, "configuration", "ours"),
    ],
)
def test_every_exception_has_its_place(error: Exception, answered: bool, kind: str, word: str) -> None:
    found = fault(error, answered=answered)
    assert found.kind == kind
    assert word in str(found)


def test_a_wrong_host_is_no_matter_of_authorities() -> None:
    said = "[SSL: CERTIFICATE_VERIFY_FAILED] Hostname mismatch, certificate is not valid for 'h'."
    assert "SSL_CERT_FILE" not in str(fault(httpx.ConnectError(said)))


@pytest.mark.parametrize("proxy", [None, "p:1"])
@pytest.mark.parametrize(
    ("text", "lasting"),
    [("[SSL: CERTIFICATE_VERIFY_FAILED] self-signed", True), ("[SSL: WRONG_VERSION_NUMBER]", False)],
)
def test_a_refused_certificate_stays_refused(text: str, lasting: bool, proxy: str | None) -> None:
    found = fault(httpx.ConnectError(text), proxy=proxy)
    assert found.lasting is lasting
    assert (RetryPolicy().delay(0, found, 0.0) is None) is lasting


def test_what_may_have_been_answered_is_said() -> None:
    assert getattr(fault(httpx.ReadError("")), "answered", None) is False
    assert getattr(fault(httpx.RemoteProtocolError("illegal status line")), "answered", None) is True
    assert getattr(fault(httpx.ReadError(""), answered=True), "answered", None) is True


def test_the_key_is_taken_out() -> None:
    assert "Canary" not in str(fault(httpx.ConnectError("Canary")))


@pytest.mark.parametrize("kind", KINDS)
def test_the_scheme_of_a_url_has_no_case(kind: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded: list[bool] = []
    real = httpx.create_ssl_context

    def counted() -> ssl.SSLContext:
        loaded.append(True)
        return real()

    monkeypatch.setattr(httpx, "create_ssl_context", counted)
    monkeypatch.setattr(httpx_errors, "_contexts", {})
    make(kind, "HTTPS://example.invalid/v1")
    assert loaded


@pytest.mark.parametrize("kind", KINDS)
def test_one_folder_of_certificates_that_is_there_is_enough(
    kind: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    absent = str(tmp_path / "absent")
    monkeypatch.setenv("SSL_CERT_DIR", os.pathsep.join([absent, str(tmp_path)]))
    make(kind)
    monkeypatch.setenv("SSL_CERT_DIR", os.pathsep.join([absent, absent]))
    with pytest.raises(ConfigurationError):
        make(kind)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "host",
    [
        *("a..b", ".a", "a..", "a" * 300, "a" * 64 + ".b", "b\u00fccher..de", "\ud800.com", "\u00fc" * 63),
        *(
            "[::1",
            "[]",
            "[v1.a]",
            "256.1.1.1",
            "xn--zzzzzzzzz--",
            "\u2603.net",
            "h:0",
            "h:99999",
            "h:-1",
            ":80",
        ),
    ],
)
def test_a_host_that_cannot_be_is_refused_at_once(kind: Any, host: str) -> None:
    for scheme in ("http", "https"):
        with pytest.raises(ConfigurationError, match="the base URL") as caught:
            make(kind, f"{scheme}://{host}/v1")
        assert caught.value.setting == "base_url"
        assert caught.value.__context__ is None


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "host", ["a.", "a" * 63 + ".b", "a_b", "[::1]:1", "127.0.0.1", "b\u00fccher.de", "h:65535"]
)
def test_a_host_that_can_be_is_taken(kind: Any, host: str) -> None:
    assert make(kind, f"http://{host}/v1").model_name == "m"
