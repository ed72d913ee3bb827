"""The characters and values of a text that may be shown or stored."""

import pytest

from conf.printable import counted, printable, shell_words, without_secrets

ESCAPED = {
    "\x00": "\\x00", "\x1b": "\\x1b", "\x1f": "\\x1f", "\x7f": "\\x7f", "\x80": "\\x80", "\x9f": "\\x9f",
    "\n": "\\x0a", "\t": "\\x09", "\u2028": "\\u2028", "\u2029": "\\u2029", "\u202a": "\\u202a", "\u202e": "\\u202e",
    "\u2066": "\\u2066", "\u2069": "\\u2069", chr(0xD800): "\\ud800", chr(0xDFFF): "\\udfff",
    "\ufffe": "\\ufffe", "\uffff": "\\uffff",
}  # fmt: skip


@pytest.mark.parametrize(("character", "escape"), ESCAPED.items(), ids=ascii)
def test_characters_that_control_are_escaped_where_they_stand(character: str, escape: str) -> None:
    assert printable(f"a{character}b{character}") == f"a{escape}b{escape}"


@pytest.mark.parametrize(
    "character", [" ", "~", "\xa0", "\u200f", "\u2027", "\u202f", "\u2065", "\u206a", "\ue000", "é", "家"], ids=ascii
)
def test_other_characters_are_shown_as_they_are(character: str) -> None:
    assert printable(character) == character


@pytest.mark.parametrize(
    "name",
    [
        "token",
        "access_token",
        "X-Amz-Security-Token",
        "Secret",
        "my.password",
        "passwd",
        "pwd",
        "apiKey",
        "Signature",
        "sig",
        "credentials",
        "auth",
        "sas",
    ],
)
@pytest.mark.parametrize("sign", ["?", "&", ";"])
def test_values_that_log_people_in_are_hidden_and_others_are_not(sign: str, name: str) -> None:
    assert without_secrets(f"h{sign}{name}=abc&x=1") == f"h{sign}{name}=***&x=1"
    assert without_secrets(f"h{sign}width=abc") == f"h{sign}width=abc"
    assert without_secrets(f"{name}=abc") == f"{name}=abc"


def test_all_secrets_of_a_text_are_hidden_and_the_rest_stays() -> None:
    text = "a s3://u:p@b/c?x=1&sig=q#t 'http://k@h' \"ftp://u:p@x@y/z\" gs://b/u:p@c"
    assert without_secrets(text) == "a s3://***@b/c?x=1&sig=***#t 'http://***@h' \"ftp://***@y/z\" gs://b/u:p@c"


@pytest.mark.parametrize(
    ("overrides", "line"),
    [
        ((), ""),
        (("a", "b c", "é"), "a 'b c' é" if shell_words("é") == "é" else "a 'b c' 'é'"),
        (("\x1b'\\é~ ",), "$'\\033\\047\\134\\303\\251~ '"),
        (("X\x7f",), "$'X\\177'"),
        (("a\nb", "\udce9"), "$'a\\012b' $'\\351'"),
    ],
)
def test_words_are_for_a_shell_that_reads_them_as_they_are(overrides: tuple[str, ...], line: str) -> None:
    assert shell_words(*overrides) == line


@pytest.mark.parametrize(("count", "text"), [(0, "0 shards"), (1, "1 shard"), (2, "2 shards")])
def test_one_of_a_kind_is_singular(count: int, text: str) -> None:
    assert counted(count, "shard") == text
