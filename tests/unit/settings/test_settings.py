"""Settings: each is documented, each mistake is one sentence that names the key."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from cdc import settings
from cdc.errors import SettingsError

ROOT = Path(__file__).resolve().parents[3]
GOOD = """
[org]
alias = "acme"
[salesforce]
login_url = "https://acme.my.salesforce.com"
client_id = "key"
client_secret_file = "secret"
"""


def load(text: str, tmp_path: Path, **environment: str) -> settings.Settings:
    file = tmp_path / "cdc.toml"
    file.write_text(text)
    return settings.load(file, environment)


def test_the_example_file_explains_every_setting() -> None:
    assert (ROOT / "ops/cdc.example.toml").read_text() == settings.example(), (
        "write it anew: python -c 'from cdc import settings; print(settings.example(), end=str())' > ops/cdc.example.toml"
    )


def test_every_setting_has_an_explanation() -> None:
    assert [f"{s}.{k}" for s, k, _, text in settings.documented_keys() if not text] == []


def test_defaults_need_only_the_org_and_how_to_log_in(tmp_path: Path) -> None:
    loaded = load(GOOD, tmp_path)
    assert loaded.topic_prefix == "salesforce.acme"
    assert loaded.salesforce.channels == ["/data/ChangeEvents"]


def test_relative_files_are_taken_from_the_settings_file(tmp_path: Path) -> None:
    loaded = load(GOOD, tmp_path)
    assert loaded.journal.path == str(tmp_path / "journal.duckdb")
    assert loaded.salesforce.client_secret_file == str(tmp_path / "secret")


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    loaded = load(
        GOOD, tmp_path, CDC__LOG__KAFKA__PARTITIONS="3", CDC__SALESFORCE__CHANNELS="/data/A__chn,/data/B__chn"
    )
    assert loaded.log.kafka.partitions == 3
    assert loaded.salesforce.channels == ["/data/A__chn", "/data/B__chn"]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ('[org]\nalias = "Acme Inc"', r"org\.alias: must match"),
        (
            "[salesforce]\nclinet_id = 'x'",
            r"salesforce\.clinet_id is not a setting \(did you mean salesforce\.client_id\?\)",
        ),
        ("[salesforce]\nlogin_url = 'http://acme.example'", r"login_url: must be an https:// address"),
        ("[salesforce]\npubsub_tls = false", r"pubsub_tls = false is only for a loopback address"),
        (
            "[salesforce]\nclient_secret_file = ''",
            r"client_secret_file is needed for auth = client_credentials",
        ),
        ("[salesforce]\nauth = 'jwt'", r"private_key_file is needed for auth = jwt; username is needed"),
        ("[salesforce]\nchannels = ['ChangeEvents']", r"ChangeEvents must begin with /data/"),
        ("[log]\nretention = '2d'", r"retention must be at least 4d"),
        ("[log]\nretention = 'a week'", r"is not a duration"),
        ("[log.kafka]\npartitions = 0", r"partitions: must be greater than or equal to 1, not 0"),
        ("[api]\nlisten = '0.0.0.0:8484'", r"may leave the loopback range only with tokens_file"),
        ("[nonsense]\nx = 1", r"nonsense is not a setting"),
    ],
)
def test_a_mistake_is_named_with_its_key(text: str, sentence: str, tmp_path: Path) -> None:
    section = text.splitlines()[0]
    key = text.splitlines()[1].split(" =")[0]
    kept = re.sub(rf"(?m)^{key} = .*\n", "", GOOD)
    merged = kept.replace(section, text) if section in kept else kept + text
    with pytest.raises(SettingsError, match=sentence) as caught:
        load(merged, tmp_path)
    assert caught.value.exit_code == 2


def test_a_secret_is_never_shown(tmp_path: Path) -> None:
    loaded = load(
        GOOD,
        tmp_path,
        CDC__SALESFORCE__CLIENT_SECRET="hunter2",
        CDC__LOG__KAFKA__PROPERTIES="{'sasl.password' = 'hunter2'}",
    )
    assert "hunter2" not in str(settings.shown(loaded))
    assert "hunter2" not in repr(loaded.salesforce.client_secret)


def test_no_settings_at_all_says_where_they_were_looked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SettingsError, match="no settings were given"):
        settings.load(None, {})


def test_a_file_that_is_not_toml_names_the_line(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"not TOML: .*line 2"):
        load("[org]\nalias = =", tmp_path)
