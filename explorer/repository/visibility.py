"""Which names are never shown, in one list that the file walk and every path check share.

Three things are hidden unless a workspace is opened with ``include_hidden``:

* dotfiles and all below dot directories: ``.git``, ``.env*``, ``.ssh``, ``.npmrc``, ``.github``;
* files whose name says that they hold a secret: ``SECRET_NAMES``, in any case of letters;
* what git ignores: ``.gitignore`` files, ``.git/info/exclude`` and the user's global excludes.
  ``.ignore`` and ``.rgignore`` are not consulted: their ``!`` lines could show what git ignores.

Names that cannot be written as one line of UTF-8 are left out always: a model could neither read
nor repeat them. ``.git`` itself is left out always too: it holds no source, but credentials.
"""

import re
from fnmatch import translate

SECRET_NAMES = (
    "*.env",
    "*.jks",
    "*.kdbx",
    "*.key",
    "*.keystore",
    "*.p12",
    "*.pem",
    "*.pfx",
    "*.pkcs12",
    "*.ppk",
    "*.tfstate",
    "*.tfstate.backup",
    "*.tfvars",
    "credentials",
    "credentials.csv",
    "credentials.ini",
    "credentials.json",
    "credentials.toml",
    "credentials.yaml",
    "credentials.yml",
    "id_dsa*",
    "id_ecdsa*",
    "id_ed25519*",
    "id_rsa*",
    "kubeconfig",
    "secret.json",
    "secret.yaml",
    "secret.yml",
    "secrets.json",
    "secrets.toml",
    "secrets.yaml",
    "secrets.yml",
    "service-account*.json",
)
"""Globs on a file's or directory's own name. Data formats only: ``credentials.py`` is source."""

HIDDEN_GLOBS = (".*", *SECRET_NAMES)

RG_HIDING = tuple(f"--iglob=!{glob}" for glob in HIDDEN_GLOBS)
"""The list as rg options. Overrides come before every ignore rule, so no ``!`` line undoes them."""

_HIDDEN_NAME = re.compile("|".join(translate(glob) for glob in HIDDEN_GLOBS), re.IGNORECASE)
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def is_hidden_name(path: str) -> bool:
    """True when a part of the relative path is a dotfile or bears a secret's name."""
    return any(_HIDDEN_NAME.match(part) for part in path.split("/"))


def is_git_store(path: str) -> bool:
    """True for ``.git``, as file or directory, and all below it, at any depth."""
    return ".git" in path.casefold().split("/")


def is_one_line(path: str) -> bool:
    """True when the path can be shown on one line of valid UTF-8 and typed back."""
    return _UNPRINTABLE.search(path) is None
