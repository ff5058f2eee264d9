"""What looks like a secret: files by their names, and secrets inside text by their forms.

The forms of tokens are those of the default rules of gitleaks 8.30 (config/gitleaks.toml, MIT)
that begin with fixed text, without the entropy and the example lists: what is masked in vain costs
little. To them come forms of detect-secrets 1.5: a password in a URL, the secret half of an AWS
key, Azure's account key, and the keys of Mailgun, Telegram and Discord. A password without a form
of its own is not known.
"""

import re
from functools import lru_cache

MASK = "[masked]"
"""What stands in the place of a secret."""

_BACKUP = r"(?:\.(?:bak|backup|copy|local|old|orig|save|swp)|[-_](?:bak|old)|~)*"
_PART = re.compile(
    r"(?:[^.].*\.(?:agekey|env|gpg|jks|kdbx|key|keystore|keytab|ovpn|p12|p8|pem|pfx|pkcs12|ppk"
    r"|publishsettings|tfstate(?:\..*)?|tfvars(?:\.json)?)"
    rf"|_?netrc|credentials|htpasswd|id_(?:dsa|ecdsa|ed25519|rsa).*|kubeconfig){_BACKUP}"
)
"""The own name of a directory or file, in lower case."""

_FILE = re.compile(
    r"(?:(?:.*credentials.*\.(?:csv|ini|properties|toml|txt|xml|ya?ml|json)"
    r"|.*(?:client[-_]?secret|firebase-adminsdk|service[-_]?account).*\.json"
    # In a compiled language and in prose, ``secrets.go`` is about secrets. In Python, JavaScript,
    # PHP or a C header, such a file holds them.
    r"|(?!.*\.(?:adoc|c|cc|cpp|cs|go|hpp|java|kt|md|proto|pyi|rs|rst|scala|swift|tsx?)$)"
    rf"(?:secrets?\.|.*kubeconfig).*)){_BACKUP}"
)
"""The own name of a file, in lower case."""


def has_secret_name(path: str) -> bool:
    """True when a part of the relative path says that it is a secret or a secret's backup."""
    folder, _, name = path.lower().rpartition("/")
    return (
        _is_secret_file(name)
        or _is_secret_folder(folder)
        or (name == "config" and folder.endswith("kube"))
    )


@lru_cache(1 << 16)  # Each question lists the same names again.
def _is_secret_file(name: str) -> bool:
    return _PART.fullmatch(name) is not None or _FILE.fullmatch(name) is not None


@lru_cache(4096)
def _is_secret_folder(folder: str) -> bool:
    return any(map(_PART.fullmatch, folder.split("/")))


# Every repetition is bounded, so the time is linear in the text.
_TOKENS = r"""
[0-9]{8,10}:AA[\w-]{33}
[MN][A-Za-z0-9]{23,27}\.[\w-]{6}\.[\w-]{27,38}
A3-[A-Z0-9]{6}-(?:[A-Z0-9]{11}|[A-Z0-9]{6}-[A-Z0-9]{5})(?:-[A-Z0-9]{5}){3}
A(?:KIA|SIA|BIA|CCA|3T[A-Z0-9])[A-Z0-9]{16}
ABSK[A-Za-z0-9+/]{40,400}
AGE-SECRET-KEY-1[A-Z0-9]{58}
AIza[\w-]{35}
AKCp[A-Za-z0-9]{60,80}
API-[A-Z0-9]{26}
ATATT3[\w=-]{60,250}
CLOJARS_[a-z0-9]{60}
EAA[AMC][A-Za-z0-9]{60,400}
EZ[AT]K[A-Za-z0-9]{54}
FLW(?:SEC|PUB)K_TEST-[A-Za-z0-9]{12,32}
GOCSPX-[\w-]{20,40}
GR1348941[\w-]{20}
HRKU-AA[\w-]{58}
LTAI[A-Za-z0-9]{12,20}
PMAK-[A-Fa-f0-9]{24}-[A-Fa-f0-9]{34}
SG\.[\w-]{16,32}\.[\w-]{16,64}
SK[0-9a-fA-F]{32}
api_org_[A-Za-z]{34}
dapi[a-f0-9]{32}
do[opr]_v1_[a-f0-9]{64}
dp\.(?:pt|st|ct|scim|audit)\.[A-Za-z0-9._-]{40,80}
dt0c01\.[A-Za-z0-9]{24}\.[A-Za-z0-9]{64}
duffel_(?:test|live)_[\w=-]{43}
ey[A-Za-z0-9]{17,4000}\.ey[A-Za-z0-9/\\_-]{17,8000}(?:\.[A-Za-z0-9/\\_-]{10,4000})?
fio-u-[\w=-]{64}
fm[12][ar]?_[A-Za-z0-9+/]{100,1000}
gh[opsur]_[0-9a-zA-Z]{36,255}
github_pat_\w{40,255}
gl(?:cbt|dt|ffct|ft|imt|agent|oas|pat|ptt|rt|soat)-[\w.-]{20,320}
glc_[A-Za-z0-9+/]{32,400}
glsa_[A-Za-z0-9]{32}_[A-Fa-f0-9]{8}
hf_[A-Za-z0-9]{34}
hooks\.slack\.com/(?:services|workflows|triggers)/[A-Za-z0-9+/]{30,80}
hv[bs]\.[\w-]{24,300}
ico-[A-Za-z0-9]{32}
key-[0-9a-f]{32}
lin_api_[A-Za-z0-9]{40}
npm_[A-Za-z0-9]{36}
ntn_[0-9]{11}[A-Za-z0-9]{35}
ops_eyJ[A-Za-z0-9+/]{100,2000}
p8e-[A-Za-z0-9]{32}
pat[A-Za-z0-9]{14}\.[a-f0-9]{64}
pnu_[A-Za-z0-9]{36}
pplx-[A-Za-z0-9]{48}
pscale_(?:tkn|oauth|pw)_[\w=.-]{32,64}
pul-[a-f0-9]{40}
pypi-[A-Za-z0-9][\w-]{50,1000}
rdme_[a-z0-9]{70}
rubygems_[a-f0-9]{48}
s-s4t2(?:ud|af)-[a-f0-9]{64}
sha256~[\w-]{43}
shippo_(?:live|test)_[a-fA-F0-9]{40}
shp(?:at|ca|pa|ss)_[a-fA-F0-9]{32}
sgp_(?:[a-fA-F0-9]{16}_|local_)?[a-fA-F0-9]{40}
sk-(?:(?:ant|proj|svcacct|admin|or|lf)-)[\w-]{20,300}
sk-[A-Za-z0-9]{32,64}
sm_[aps]at_[A-Za-z0-9]{16}
sntry[su]_[A-Za-z0-9+/=_]{64,600}
sq0[a-z]{3}-[\w-]{22,60}
[rs]k_(?:test|live|prod)_[A-Za-z0-9]{10,247}
tk-us-[\w-]{48}
v1\.0-[a-f0-9]{24}-[a-f0-9]{146}
whsec_[A-Za-z0-9+/]{24,64}
xapp-\d-[A-Za-z0-9]{5,20}-\d{5,20}-[A-Za-z0-9]{10,100}
xkeysib-[a-f0-9]{64}-[A-Za-z0-9]{16}
xox[abceoprs][.-][A-Za-z0-9.-]{8,250}
ya29\.[\w-]{30,500}
"""
_TOKEN = re.compile(
    # No token is shorter: most words are left at once.
    rf"(?<![A-Za-z0-9])(?=[\w.~:/+-]{{16}})(?:{'|'.join(_TOKENS.split())})"
)

# What tells the secret stands before it and is kept.
_TOLD = (
    r"(?<=://)([^\s:/@'\"<>{}$%`]{0,80}:)[^\s:/@'\"<>{}$`]{1,200}(?=@)",
    r"(aws.{0,20}(?:key|token|secret).{0,20}?[\"'=: ])[0-9a-z/+]{40}(?![0-9a-z/+=])",
    r"(AccountKey=)[a-z0-9+/]{60,100}={0,2}",
    r"(Authorization[\"']?\s?[:=,]\s?[\"']?(?:Bearer|Basic|Token)\s)[\w=~.+/-]{16,2000}",
)
_TELLING = re.compile("|".join(_TOLD), re.IGNORECASE)

_KEY_MARK = re.compile(
    r"-{4,5} ?(?:(BEGIN)|END) [A-Z0-9 _-]{0,60}PRIVATE KEY(?: BLOCK)? ?-{4,5}", re.IGNORECASE
)
_LINE_END = r"(?=(?:\\[nr])*[\"'`,;+\\ \t\r]*$)"
_KEY_BODY = re.compile(
    r"()(?<!\\)[A-Za-z0-9+/=]{16,}"
    # What is left of a key in its last line may be short.
    rf"|((?<=\\n)|^[ \t\"'`#*]*+)[A-Za-z0-9+/=]+(?:(?=\\[nr])|{_LINE_END})",
    re.MULTILINE,
)
_KEY_LINE = re.compile(
    r"^([ \t\"'`#*]*+)(?=[^\n]{0,60}[a-z])(?=[^\n]{0,60}[A-Z])(?=(?:[^\n0-9]{0,50}[0-9]){3})"
    rf"[A-Za-z0-9+/]{{60,}}={{0,2}}{_LINE_END}",
    re.MULTILINE,
)
"""A line of a private key whose marks are out of sight."""


def mask_secrets(text: str) -> str:
    """The text with ``MASK`` for each secret and the lines that it had.

    Masked are tokens of a well-known form, passwords in URLs, and the inside of private keys.
    """
    if "-----" in text or "---- " in text:
        text = _without_keys(text)
    text = _KEY_LINE.sub(_masked, text)
    text = _TELLING.sub(_masked, text)
    return _TOKEN.sub(MASK, text)


def _masked(found: re.Match[str]) -> str:
    """What stands before the secret and is kept, and the mask."""
    return f"{found[found.lastindex or 0]}{MASK}"


def _without_keys(text: str) -> str:
    """The text with the inside of each private key masked, though one of its marks be missing."""
    pieces: list[str] = []
    done, opened = 0, False
    for mark in _KEY_MARK.finditer(text):
        before = text[done : mark.start()]
        begins = mark[1] is not None
        pieces += [_key_part(before, opened, not begins), mark[0]]
        done, opened = mark.end(), begins
    return "".join([*pieces, _key_part(text[done:], opened, False)])


def _key_part(text: str, opened: bool, closed: bool) -> str:
    """What stands between two marks, with the key in it masked."""
    start, end = 0, 0
    if opened:
        end = len(text) if closed else len(text.partition("\n")[0])
    elif closed:  # It began out of sight: what matters are its last two lines.
        start, end = text.rfind("\n", 0, max(text.rfind("\n"), 0)) + 1, len(text)
    return text[:start] + _KEY_BODY.sub(_masked, text[start:end]) + text[end:]
