"""The texts that agents read about the server.

Every client's model carries the two tools through every conversation, in about 500 tokens with
their schemas. Clients cut each text after 2,048 characters.
"""

EXPLORE_TITLE = "Explore repository"

EXPLORE_DESCRIPTION = """\
Use this first when you do not know where in a repository something is: how a feature works, where \
a behaviour or an error message comes from, what a bug report points to, what a change touches. \
It returns the few places that answer, as path:start-end, and the code of the first places, so \
that you need not read it again. Use grep or read when you know the exact name or file. \
Independent questions can run in parallel.

Ask a full sentence with all symbols, error texts and symptoms that you know, or a whole bug report:
"Where is the retry delay after an HTTP 429 computed, and which setting limits it?\""""

STATUS_TITLE = "Explorer status"

STATUS_DESCRIPTION = """\
Use this when an answer says that the model failed, or when the user asks about the setup: which \
explorer answers next, whether it is ready, and why."""

INSTRUCTIONS = """\
fastcontext finds code. Call explore_repository first whenever you do not know where something in \
a repository is: one call returns the few path:start-end places that answer, instead of pages of \
search output, and shows the code of the first places, so that you need not read it again. Use \
grep when you know the exact name or string, and read when you know the file. It only reads; \
independent questions may be asked in parallel. An answer takes seconds, at most the configured \
deadline. Without a model, a lexical search answers, and the answer says so."""

QUERY = "The question."
PATH = (
    "Repository: absolute path or file:// URI. Default: the client's root or where the server runs."
)
MAX_TURNS = "Most model requests. 0: as configured (8)."
MAX_CITATIONS = "Most places. 0: as configured (10)."
MAX_BYTES = "Longest answer. 0: as configured (6,000)."
CODE = "false: places alone."
INCLUDE_HIDDEN = "Also dotfiles, secrets and git-ignored files; only if the user asks for those."

PROMPT_TITLE = "Explore"
PROMPT_DESCRIPTION = "Find the code that a question is about before changing or explaining it"
PROMPT = """\
Call explore_repository with this question, as a full sentence and with everything that you know \
about it from our conversation (symbols, error texts, file names). Then answer from the code that \
it shows, with path:line references; read the places that it names without their code.

Question: {question}"""
PROMPT_QUESTION = "What to find, as a full sentence."
PROMPT_TYPED = "all that was typed after this command, as its arguments."

VIEW_URI = "ui://fastcontext/answer.html"
VIEW_TITLE = "Answer of an exploration"
