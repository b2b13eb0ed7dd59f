from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest
from tests.serving.certificates import certificate
from tests.serving.worlds import project

from esteira.base.errors import BadInput
from esteira.serving.tls import tls_pair

if TYPE_CHECKING:
    from pathlib import Path

    from esteira.base.settings import Settings


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`a` and `b` are certificates, each with its key; `sealed.key` is that of `a` behind a pass phrase."""
    folder = tmp_path_factory.mktemp("tls")
    for name in ("a", "b"):
        certificate(folder, name)
    seal = ["openssl", "pkey", "-in", "a.key", "-aes128", "-passout", "pass:x", "-out", "sealed.key"]
    subprocess.run(seal, cwd=folder, check=True, capture_output=True)
    (folder / "cut.pem").write_bytes((folder / "a.pem").read_bytes()[:200])
    (folder / "none.pem").write_text("nothing\n")
    return folder


def settings(root: Path, files: Path, cert: str, key: str) -> Settings:
    shutil.copytree(files, root / "tls")
    return project(root, f'[gateway]\ntls_cert = "{cert}"\ntls_key = "{key}"\n')


def test_without_files_there_is_no_tls(tmp_path: Path) -> None:
    assert tls_pair(project(tmp_path)) is None


def test_files_that_belong_together_count_from_the_folder_of_the_settings(
    tmp_path: Path, files: Path
) -> None:
    found = tls_pair(settings(tmp_path, files, "tls/a.pem", "tls/a.key"))
    assert found == (tmp_path / "tls" / "a.pem", tmp_path / "tls" / "a.key")
    assert tls_pair(settings(tmp_path / "q", files, str(files / "b.pem"), str(files / "b.key"))) is not None


@pytest.mark.parametrize(
    ("cert", "key", "said"),
    [
        ("tls/a.pem", "", "gateway.tls_key is missing"),
        ("", "tls/a.key", "gateway.tls_cert is missing"),
        ("tls/gone.pem", "tls/a.key", "cannot be read"),
        ("tls/a.pem", "tls", "cannot be read"),
        ("tls/a.pem", "tls/b.key", "cannot be used for TLS .*MISMATCH"),
        ("tls/a.key", "tls/a.pem", "cannot be used for TLS"),
        ("tls/none.pem", "tls/a.key", "cannot be used for TLS"),
        ("tls/cut.pem", "tls/a.key", "cannot be used for TLS"),
        ("tls/a.pem", "tls/sealed.key", "the key is encrypted; decrypt it with"),
    ],
)
def test_files_that_cannot_serve_are_bad_input_with_the_mend(
    tmp_path: Path, files: Path, cert: str, key: str, said: str
) -> None:
    with pytest.raises(BadInput, match=said) as refused:
        tls_pair(settings(tmp_path, files, cert, key))
    assert "tls_cert and tls_key under [gateway]" in str(refused.value)
