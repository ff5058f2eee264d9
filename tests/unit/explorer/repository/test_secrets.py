import re

import pytest

from explorer.repository.secrets import MASK, has_secret_name, mask_secrets

BODY = (
    "MIIEpAIBAAKCAQEAwJ0yZ3m1Qk9vY2hlbGxvd29ybGQxMjM0NTY3ODkwYWJjZGVm",
    "Zm9vYmFyYmF6cXV4MTIzNDU2Nzg5MGFiY2RlZmdoaWprbG1ub3BxcnN0dXZ3eHl6",
    "Zm9v",
)


@pytest.mark.parametrize(
    "path",
    (
        "prod.tfvars.json infra/Service_Account.json serviceAccountKey.json app-credentials.json "
        "my_credentials_prod.json client_secret_12.apps.json shop-firebase-adminsdk-1a.json "
        "deploy/kube/config prod-kubeconfig.yaml _netrc secrets.py secrets.properties secrets.yml "
        "server.pem.bak prod.env.bak keys/server.key~ id_rsa.old htpasswd backup.gpg office.ovpn "
        "kubeconfig.local secrets.json.orig terraform.tfstate.1.backup credentials/a.txt key.p8"
    ).split(),
)
def test_the_name_of_a_secret_or_of_its_backup_is_known(path: str) -> None:
    assert has_secret_name(path)


@pytest.mark.parametrize(
    "path",
    (
        "credentials.py secrets.go kubeconfig_test.go docs/secrets.md src/secrets.tsx config "
        "kube/config.py service_account.py env.py keyboard.js gpg.c client_secret.ts netrc.py "
        "secrets/rotate.py serviceaccount.yaml package.json test_credentials.py"
    ).split(),
)
def test_source_about_secrets_is_not_taken_for_one(path: str) -> None:
    assert not has_secret_name(path)


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ('token = "ghp_' + "a1B2" * 9 + '"', 'token = "[masked]"'),
        ("db: postgres://bob:hunter2@db/x", "db: postgres://bob:[masked]@db/x"),
        ("id = AKIAIOSFODNN7EXAMPLE", "id = [masked]"),
        ("aws_secret_access_key = " + "wJalr/XUtn" * 4, "aws_secret_access_key = [masked]"),
        ("AccountKey=" + "a1B+" * 21 + "a1==;x", "AccountKey=[masked];x"),
        ("xoxb-123456789012-1234567890123-AbCdEfGhIjKl", "[masked]"),
        ("'eyJhbGciOiJIUzI1NiIsIn.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3j'", "'[masked]'"),
        ("key: sk-ant-api03-" + "a-b_" * 23 + "AA", "key: [masked]"),
        ("-H 'Authorization: Bearer abcdef0123456789'", "-H 'Authorization: Bearer [masked]'"),
        ("STRIPE = 'sk_live_" + "4eC39HqLyj" * 2 + "'", "STRIPE = '[masked]'"),
        ("https://x-access-token:ghs_" + "A1" * 18 + "@github.com/a/b", None),
        ("glpat-" + "a1_B" * 5 + ", next", "[masked], next"),
    ],
)
def test_a_token_of_a_known_form_is_masked_and_nothing_beside_it(text: str, kept: str) -> None:
    assert mask_secrets(text) == (kept or "https://x-access-token:[masked]@github.com/a/b")


@pytest.mark.parametrize(
    "text",
    [
        'f"http://{user}:{password}@host" + "postgres://$USER:$PASS@db"',
        "git@github.com:a/b https://user@host:8080/ import asyncio_mode",
        "self.assertRaisesRegexAndAVeryLongIdentifierOfMoreThanSixtyCharactersInAll",
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        'if "-----BEGIN PRIVATE KEY-----" in text and "-----END PRIVATE KEY-----" in text:',
        "headers['Authorization'] = f'Bearer {token}'",
    ],
)
def test_code_that_only_handles_secrets_stays_as_it_is(text: str) -> None:
    assert mask_secrets(text) == text


@pytest.mark.parametrize(
    "block",
    [
        "\n".join(["-----BEGIN RSA PRIVATE KEY-----", *BODY, "-----END RSA PRIVATE KEY-----"]),
        r"-----BEGIN PRIVATE KEY-----\n" + r"\n".join(BODY) + r"\n-----END PRIVATE KEY-----",
        '"-----BEGIN PRIVATE KEY-----\\n"\n'
        + "\n".join(f'  "{line}\\n" +' for line in BODY)
        + '\n"-----END PRIVATE KEY-----"',
        "\n".join(["-----BEGIN PGP PRIVATE KEY BLOCK-----", "", *BODY, "=aB3d"])
        + "\n-----END PGP PRIVATE KEY BLOCK-----",
        "-----BEGIN OPENSSH PRIVATE KEY-----\r\n"
        + "\r\n".join(BODY)
        + "\r\n-----END OPENSSH PRIVATE KEY-----",
    ],
)
def test_a_private_key_is_masked_line_by_line_and_the_code_around_it_stays(block: str) -> None:
    before, after = "def load():\n    return None\n", "\nlast = dictionary_of_settings\n"
    masked = mask_secrets(before + block + after)
    assert not re.search("|".join([*BODY, "=aB3d"]), masked)
    assert masked.startswith(before)
    assert masked.endswith(after)
    assert masked.count("\n") == (before + block + after).count("\n")


def test_any_part_of_a_private_key_is_masked_too() -> None:
    lines = ["-----BEGIN EC PRIVATE KEY-----", *BODY, "-----END EC PRIVATE KEY-----"]
    for start in range(len(lines)):
        for end in range(start + 1, len(lines) + 1):
            masked = mask_secrets("\n".join(lines[start:end]))
            assert BODY[0] not in masked
            assert BODY[1] not in masked
            if end == len(lines):
                assert BODY[2] not in masked
    assert mask_secrets(f'x = "{lines[0]}\\n{BODY[0][:30]}...') == f'x = "{lines[0]}\\n{MASK}...'
