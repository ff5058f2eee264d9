"""An entry put into a YAML file and taken out again, everything else left to the byte."""

import pytest
import yaml

from server.clients import ConfigError, yaml_config

ENTRY = {"command": "/p", "args": ["-P", "x: y # z"], "env": {"A": 'b"'}}
LISTS = {
    "at the end": "a: 1 # why\nmcpServers:\n  - name: o # tail\n    args:\n      - y\n",
    "before more": "mcpServers:\n- name: o\n  command: x\n\n# next\nb: 2\n",
    "windows": "mcpServers:\r\n    - name: o\r\n      command: x\r\nb: [1, 2]\r\n",
    "text": "mcpServers:\n  - name: o\n    note: |\n      one\n\n      two\n# end\n",
}
MAPPINGS = {
    "at the end": "extensions:\n    dev:\n        a: {x: 1} # tail\n",
    "before more": "# mine\nextensions:\n  dev:\n    a: 'it''s'\n\n\nGOOSE_MODEL: m\n",
}


@pytest.mark.parametrize("text", LISTS.values(), ids=list(LISTS))
def test_an_entry_of_a_list_is_put_in_replaced_and_taken_out(text: str) -> None:
    check("mcpServers", text, is_list=True)


@pytest.mark.parametrize("text", MAPPINGS.values(), ids=list(MAPPINGS))
def test_an_entry_of_a_mapping_is_put_in_replaced_and_taken_out(text: str) -> None:
    check("extensions", text, is_list=False)


def check(section: str, text: str, *, is_list: bool) -> None:
    made = yaml_config.put(text, section, "fc", ENTRY, is_list=is_list)
    assert yaml_config.get(made, section, "fc") == ENTRY
    assert [line for line in made.splitlines(True) if line in text.splitlines(True)] == (
        text.splitlines(True)
    )
    assert ("\r\n" in text) == ("\r\n" in made)
    again = yaml_config.put(made, section, "fc", {"command": "q"}, is_list=is_list)
    assert yaml_config.get(again, section, "fc") == {"command": "q"}
    assert yaml_config.remove(made, section, "fc") == text
    assert yaml_config.remove(again, section, "fc") == text
    assert yaml_config.remove(text, section, "fc") == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "# mine\n",
        "a: 1",
        "mcpServers:\n",
        "mcpServers: # mine\nb: 1\n",
        "mcpServers: [] # mine\n",
    ],
)
def test_a_section_that_is_absent_or_empty_gets_its_first_entry_and_loses_it(text: str) -> None:
    made = yaml_config.put(text, "mcpServers", "fc", ENTRY, is_list=True)
    assert yaml_config.get(made, "mcpServers", "fc") == ENTRY
    assert ("# mine" in made) == ("# mine" in text)
    gone = yaml_config.remove(made, "mcpServers", "fc")
    assert yaml.safe_load(gone)["mcpServers"] == []
    assert ("# mine" in gone) == ("# mine" in text)


@pytest.mark.parametrize(
    "text",
    [
        "mcpServers: [{name: o}]",
        "mcpServers: text",
        "x: &a\n  k: 1\nmcpServers:\n  - *a\n",
        "{mcpServers: []}",
        "mcpServers:\n  - name: o\n...\n---\nb: 1\n",
        "- a",
        "a: [",
    ],
)
def test_what_cannot_be_changed_safely_is_refused(text: str) -> None:
    with pytest.raises(ConfigError):
        yaml_config.put(text, "mcpServers", "fc", ENTRY, is_list=True)
