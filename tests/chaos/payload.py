"""A record's payload: unique by client and number, with a hash of itself."""

import hashlib

FILLING = "the quick brown fox jumps over the lazy dog " * 8


def key(client, number):
    return f"{client}:{number}".encode()


def encode(client, number):
    text = f"{client}:{number}:{FILLING[: 10 + number * 37 % 100]}"
    return f"{text}:{digest(text)}".encode()


def decode(record_key, value):
    """(client, number), or (None, what it is) when it is none of ours or damaged."""
    try:
        text, found = value.decode().rsplit(":", 1)
        client, number, _ = text.split(":", 2)
        if digest(text) == found and record_key == key(client, int(number)):
            return client, int(number)
    except (UnicodeDecodeError, ValueError, AttributeError):
        pass
    return None, f"key {record_key!r}, value {value!r}"


def digest(text):
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
