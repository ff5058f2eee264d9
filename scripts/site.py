"""What the site adds to docs/: the pages of the repository's root, and links out of docs/.

Hooks of MkDocs, which mkdocs.yml names. In the repository every link is relative, so that it works
there; a link to a file that is no page of the site leads to the repository's page instead.
"""

import posixpath
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
PAGES = {
    "README.md": "index.md",
    "SECURITY.md": "security.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
}
"""File in the root -> page of the site."""
_LINK = re.compile(r'(?<=\]\()[^)\s]+(?=\))|(?<=src=")[^"]+|(?<=srcset=")[^"]+')


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """The files of docs/ and those of the root."""
    for name, page in PAGES.items():
        text = (ROOT / name).read_text(encoding="utf-8")
        files.append(File.generated(config, page, content=text))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """The page's text with links that the site can follow.

    Raises:
        FileNotFoundError: a link leads to a file that the repository does not have.
    """
    here = page.file.src_uri
    source = next((name for name, uri in PAGES.items() if uri == here), f"docs/{here}")

    def followed(link: re.Match[str]) -> str:
        path, mark, anchor = link[0].partition("#")
        if not path or "://" in path:
            return link[0]
        target = posixpath.normpath(posixpath.join(posixpath.dirname(source), path))
        uri = PAGES.get(target) or target.removeprefix("docs/")
        if files.get_file_from_path(uri) and (target in PAGES or target.startswith("docs/")):
            return posixpath.relpath(uri, posixpath.dirname(here) or ".") + mark + anchor
        if not (ROOT / target).exists():
            raise FileNotFoundError(f"{source} links to {link[0]!r}")
        return f"{config.repo_url}/blob/main/{target}{mark}{anchor}"

    return _LINK.sub(followed, markdown)
