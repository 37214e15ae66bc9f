"""One breach of a contract: where it is, which rule it breaks, and a line for people.

May enter here: nothing but the standard library; no validator, so that a violation can be
read without one.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from botticelli.contracts.jsonvalue import Token, json_path, json_pointer


@dataclass(frozen=True, slots=True)
class Violation:
    """One breach of a contract.

    Attributes:
        path: The member at fault, as in `$.choices[0].message.role`. A member that is missing,
            or that must not be there, is named itself, not the object around it.
        pointer: The same as a JSON pointer, as in `/choices/0/message/role`.
        schema_pointer: The rule, as contract and JSON pointer into its schema, as in
            `openai/response#/$defs/message/required/2`. Empty for bytes that are no JSON at all.
        keyword: The keyword of the rule, or for bytes the code of a relaxation or `json-invalid`.
        message: The breach in words, without the path.
    """

    path: str
    pointer: str
    schema_pointer: str
    keyword: str
    message: str

    @classmethod
    def at(cls, tokens: Sequence[Token], rule: str, keyword: str, message: str) -> "Violation":
        """A breach at a place that is given step by step."""
        return cls(json_path(tokens), json_pointer(tokens), rule, keyword, message)

    def __str__(self) -> str:
        return f"{self.path}: {self.message}"
