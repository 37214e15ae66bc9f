"""`botticelli validate`: one file against one contract, as lines for a terminal.

May enter here: what turns violations into text and an exit code. No file is opened here and
nothing is printed: bytes come in, text goes out.
"""

from botticelli.contracts import packaged
from botticelli.contracts.errors import ContractError

KEEPS, BREAKS, CANNOT_TELL = 0, 1, 2


def run_validate(contract: str, data: bytes, source: str) -> tuple[int, str]:
    """Judge some bytes by a contract.

    Args:
        contract: Its name, such as `openai/response`.
        data: What to judge, as received.
        source: What to call it: a path, or `-` for standard input.

    Returns:
        The exit code and the text to print. 0: it keeps the contract. 1: it breaks it, and each
        breach has a line with its path. 2: there is no such contract, or it cannot be applied;
        this text belongs on standard error.
    """
    name = "standard input" if source == "-" else source
    try:
        violations = packaged().validate_bytes(contract, data)
    except ContractError as error:
        return CANNOT_TELL, f"error: {error}"
    if not violations:
        return KEEPS, f"{name} keeps {contract}"
    count = "one place" if len(violations) == 1 else f"{len(violations)} places"
    path_width = max(len(violation.path) for violation in violations)
    said_width = max(len(violation.message) for violation in violations)
    lines = [
        f"  {it.path:{path_width}}  {it.message:{said_width}}  {it.schema_pointer or it.keyword}"
        for it in violations
    ]
    return BREAKS, "\n".join([f"{name} breaks {contract} in {count}:", *lines])
