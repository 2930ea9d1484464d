"""The chain of manifests: what was sealed, in which files, and which manifest came before.

    segments/manifests/000007.json     one manifest; names its files, and the manifest before by SHA-256
    segments/000007/changes.parquet    its files, sorted by entity, record, ordinal
    segments/000007/fields.parquet

Manifests are never rewritten and never removed. Files are, by a later manifest that `replaces` the number and
holds the same rows (merge) or fewer (erasure, retention). A manifest is there once its name is: it is written
under another one, brought to the disk and renamed. The signature is Ed25519 over the manifest's bytes without it.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from cdc.errors import SettingsError

FORMAT: Final = "sf-cdc-seal/1"
FOLDER: Final = "manifests"
HASH_CHUNK_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class SealedFile:
    """One Parquet file of a segment; `name` is relative to the folder of segments."""

    name: str
    table: str
    rows: int
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """What one seal says. Times are ISO 8601 UTC. `redaction` is an erasure's account of itself."""

    number: int
    org: str
    kind: str
    first_seq: int
    last_seq: int
    sealed_at: str
    files: tuple[SealedFile, ...] = ()
    replaces: tuple[int, ...] = ()
    first_committed_at: str | None = None
    last_committed_at: str | None = None
    previous: str | None = None
    """SHA-256 of the manifest before; None for the first."""
    redaction: Mapping[str, Any] | None = None
    public_key: str | None = None
    signature: str | None = None
    format: str = FORMAT

    @property
    def name(self) -> str:
        return manifest_name(self.number)

    def rows(self, table: str) -> int:
        return sum(f.rows for f in self.files if f.table == table)

    def signed_bytes(self) -> bytes:
        """What the signature is over."""
        return _canonical({**asdict(self), "signature": None})

    def to_bytes(self) -> bytes:
        return _canonical(asdict(self))


@dataclass(frozen=True, slots=True)
class SigningKey:
    """Signs manifests; `public` is its public half in hex."""

    private: Ed25519PrivateKey = field(repr=False)

    @property
    def public(self) -> str:
        return public_hex(self.private.public_key())

    def signed(self, manifest: Manifest) -> Manifest:
        named = with_changed(manifest, public_key=self.public)
        return with_changed(named, signature=self.private.sign(named.signed_bytes()).hex())


def signing_key(path: str) -> SigningKey | None:
    """The key of the settings; None where none is set. Errors: SettingsError."""
    if not path:
        return None
    try:
        key = load_pem_private_key(Path(path).read_bytes(), password=None)
    except (OSError, ValueError, TypeError) as error:
        raise SettingsError(
            "the signing key cannot be read",
            where=path,
            do="set journal.signing_key_file to an Ed25519 key in PEM",
        ) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise SettingsError(
            "the signing key is not an Ed25519 key",
            where=path,
            do="make one: openssl genpkey -algorithm ed25519",
        )
    return SigningKey(key)


def public_key(path: str) -> str:
    """The public key of a PEM file (of a private key its public half), in hex. Errors: SettingsError."""
    try:
        content = Path(path).read_bytes()
        private = b"PRIVATE KEY" in content
        key = (
            load_pem_private_key(content, password=None).public_key()
            if private
            else load_pem_public_key(content)
        )
    except (OSError, ValueError, TypeError) as error:
        raise SettingsError(
            "the public key cannot be read", where=path, do="give an Ed25519 key in PEM"
        ) from error
    if not isinstance(key, Ed25519PublicKey):
        raise SettingsError(
            "the public key is not an Ed25519 key", where=path, do="give an Ed25519 key in PEM"
        )
    return public_hex(key)


def public_hex(key: Ed25519PublicKey) -> str:
    return key.public_bytes(Encoding.Raw, PublicFormat.Raw).hex()


def is_signed_by(manifest: Manifest, public: str) -> bool:
    """True when the manifest carries a signature that this key made of it."""
    if not manifest.signature or manifest.public_key != public:
        return False
    try:
        Ed25519PublicKey.from_public_bytes(bytes.fromhex(public)).verify(
            bytes.fromhex(manifest.signature), manifest.signed_bytes()
        )
    except (InvalidSignature, ValueError):
        return False
    return True


def manifest_name(number: int) -> str:
    return f"{number:06d}.json"


def manifest_path(folder: str, number: int) -> Path:
    return Path(folder, FOLDER, manifest_name(number))


def segment_folder(number: int) -> str:
    return f"{number:06d}"


def read_manifest(path: Path) -> tuple[Manifest, str]:
    """A manifest and the SHA-256 of its bytes. Errors: OSError, ValueError for what is no manifest."""
    content = path.read_bytes()
    values = json.loads(content)
    if not isinstance(values, dict) or values.get("format") != FORMAT:
        raise ValueError("this is not a manifest")
    if unknown := set(values) - {f.name for f in fields(Manifest)}:
        raise ValueError(f"it holds {sorted(unknown)[0]!r}, which no manifest has")
    try:
        files = tuple(SealedFile(**f) for f in values.pop("files"))
        manifest = Manifest(files=files, replaces=tuple(values.pop("replaces")), **values)
    except (TypeError, KeyError, AttributeError) as error:
        raise ValueError("parts of it are missing") from error
    return manifest, hashlib.sha256(content).hexdigest()


def numbers_in(folder: str) -> list[int]:
    """Numbers of the manifests in a folder of segments, ascending."""
    where = Path(folder, FOLDER)
    if not where.is_dir():
        return []
    return sorted(int(p.stem) for p in where.glob("*.json") if p.stem.isdigit())


def write_manifest(folder: str, manifest: Manifest) -> str:
    """Put the manifest in its place, all or nothing; its SHA-256."""
    path = manifest_path(folder, manifest.number)
    path.parent.mkdir(parents=True, exist_ok=True)
    content = manifest.to_bytes()
    draft = path.with_suffix(".draft")
    draft.write_bytes(content)
    to_disk(draft)
    os.replace(draft, path)
    to_disk(path.parent)
    return hashlib.sha256(content).hexdigest()


def sealed_file(folder: str, name: str, table: str, rows: int) -> SealedFile:
    """A file just written: on the disk, measured and hashed."""
    path = Path(folder, name)
    to_disk(path)
    return SealedFile(name, table, rows, path.stat().st_size, sha256_of(path))


def sha256_of(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(HASH_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def to_disk(path: Path) -> None:
    """A file or folder brought to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def live_numbers(manifests: Sequence[Manifest]) -> list[int]:
    """Numbers whose files hold rows: those that no later manifest stands in for."""
    replaced = {n for m in manifests for n in m.replaces}
    return [m.number for m in manifests if m.files and m.number not in replaced]


def with_changed(manifest: Manifest, **changed: Any) -> Manifest:
    values = {f.name: getattr(manifest, f.name) for f in fields(manifest)} | changed
    return Manifest(**values)


def _canonical(values: Mapping[str, Any]) -> bytes:
    return json.dumps(values, sort_keys=True, indent=1, ensure_ascii=False).encode() + b"\n"
