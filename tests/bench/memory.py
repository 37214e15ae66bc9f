"""What a stream of a million chunks takes in memory: `python -m tests.bench.memory ORIGIN traced|resident`.

Run in a process of its own, after a short stream that has warmed everything up. `traced` is the peak of
what Python allocated (tracemalloc), the figure that the target is about; `resident` is the growth of the
process's peak resident memory (VmHWM, Linux only) without tracing, which adds what allocators keep. The
chunks are counted and let go; what remains is the answer, whose text is compared.
Prints the bytes and the bytes of the text.
"""

from __future__ import annotations

import gc
import re
import sys
import tracemalloc
from pathlib import Path

from botticelli import GenerateRequest, HuggingFaceDriver, Message

from .server import MANY_CHUNKS, WORD


def read(origin: str, play: str) -> str:
    request = GenerateRequest(messages=[Message.user("Count to a million")])
    with HuggingFaceDriver("m", api_key="bench", base_url=f"{origin}/{play}") as driver:
        with driver.generate_stream(request) as stream:
            for _ in stream:
                pass
        return stream.response.text


def resident_peak() -> int:
    """Bytes; 0 where the system doesn't tell."""
    status = Path("/proc/self/status")
    found = re.search(r"VmHWM:\s+(\d+) kB", status.read_text()) if status.exists() else None
    return int(found[1]) * 1024 if found else 0


def main() -> None:
    origin, how = sys.argv[1:]
    read(origin, "lumps")
    gc.collect()
    if how == "traced":
        tracemalloc.start()
    before = resident_peak()
    text = read(origin, "endless")
    grown = tracemalloc.get_traced_memory()[1] if how == "traced" else resident_peak() - before
    assert text == WORD * MANY_CHUNKS
    print(grown, len(text))


if __name__ == "__main__":
    main()
