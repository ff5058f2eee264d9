"""The texts that agents read about the server. Clients cut each one after 2,048 characters."""

EXPLORE_TITLE = "Explore repository"

EXPLORE_DESCRIPTION = """\
Find the code that a question is about, in one read-only call. A small explorer searches the \
repository by itself (many greps and reads, in parallel) and returns the few places that answer \
the question, as path:start-end with one line of each, so that you read only those.

Use it when you do not know where something is: how a feature works, which code handles an error, \
where a behaviour is decided, what a bug report or a stack trace points to, what has to change for \
a feature. Call it before you run a series of greps yourself, and in parallel for independent \
questions.
Use grep or read instead when you already know the exact name, string or file: that is faster.

Write the query as a full sentence with everything you know: symbols, error texts, file names, the \
symptom. You may paste a whole bug report.
Good: "Where is the retry delay after an HTTP 429 computed, and which setting limits it?"
Good: "Bug: uploads over 2 GB fail with OverflowError in send_body; find the size arithmetic and \
its callers"
Poor: "retry"

Paths in the answer are relative to the repository and exist; ranges are 1-based and inclusive. \
The explorer read every cited line. Read a place yourself before you rely on it. Confidence (high, \
medium, low) says how likely it is that the first file is right. The answer says which explorer \
answered and why."""

STATUS_TITLE = "Explorer status"

STATUS_DESCRIPTION = """\
Say which explorer will answer explore_repository, whether it is ready, and why. Call it only when \
an answer says that the model failed, or when a person asks about the setup."""

INSTRUCTIONS = """\
fastcontext finds code. Call explore_repository first whenever you do not know where something in \
a repository is: it searches by itself and returns a few path:start-end places instead of pages of \
search output. Then read those places. Use grep when you know the exact name or string, and read \
when you know the file. It only reads; independent questions may be asked in parallel. An answer \
takes seconds, at most the configured deadline. Without a model, a lexical search answers, and the \
answer says so."""

QUERY = "The question as a full sentence, with known symbols, error texts and file names."
PATH = (
    "Absolute path or file:// URI of the repository, or a path relative to the client's roots. "
    "Empty: the client's root or the directory that the server was started in."
)
MAX_TURNS = "Maximum model requests. 0: the configured number (8 unless set)."
MAX_CITATIONS = "Maximum number of places. 0: the configured number (10 unless set)."
MAX_BYTES = (
    "Maximum size of the answer's text in bytes. 0: the configured size (10,000 unless set)."
)
INCLUDE_HIDDEN = (
    "Also search dotfiles, secrets and files that git ignores. Only if the user asked for those."
)

PROMPT_TITLE = "Explore"
PROMPT_DESCRIPTION = "Find the code that a question is about before changing or explaining it"
PROMPT = """\
Call explore_repository with this question, as a full sentence and with everything that you know \
about it from our conversation (symbols, error texts, file names). Then read the places that it \
returns, and answer from what they say, with path:line references.

Question: {question}"""
PROMPT_QUESTION = "What to find, as a full sentence."

VIEW_URI = "ui://fastcontext/answer.html"
VIEW_TITLE = "Answer of an exploration"
