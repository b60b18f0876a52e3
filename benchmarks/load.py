"""50 clients ask the running app at once over HTTP: requests per second, p50, p95, errors.

    python -m benchmarks.load [--clients 50] [--questions 10] [--url http://…]

Each client asks its questions one after the other, all clients at the same time. Client and server
share the machine, so the numbers are a lower bound for the server.
"""

from __future__ import annotations

import argparse
import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext

from benchmarks.machine import heading
from benchmarks.serving import call, demo_questions, running_app


def one_client(url: str, questions: list[str]) -> tuple[list[float], list[str]]:
    """Milliseconds of each answered question, and what went wrong with the others."""
    times, errors = [], []
    for question in questions:
        began = time.perf_counter()
        try:
            call(url, "ask", question)
            times.append(1000 * (time.perf_counter() - began))
        except (OSError, RuntimeError) as e:
            errors.append(repr(e))
    return times, errors


def measure(url: str, clients: int, each: int) -> str:
    pool = [row["question"] for row in demo_questions()]
    call(url, "ask", pool[0])  # the models' own first load is not what is measured
    plans = [[pool[(c * 7 + q) % len(pool)] for q in range(each)] for c in range(clients)]
    began = time.perf_counter()
    with ThreadPoolExecutor(clients) as threads:
        results = list(threads.map(lambda plan: one_client(url, plan), plans))
    seconds = time.perf_counter() - began
    times = sorted(t for row, _ in results for t in row)
    errors = [e for _, row in results for e in row]
    cuts = statistics.quantiles(times, n=20)
    return (
        "| clients | questions | requests/s | p50 ms | p95 ms | errors |\n|---|---|---|---|---|---|\n"
        f"| {clients} | {len(times) + len(errors)} | {len(times) / seconds:.1f} "
        f"| {statistics.median(times):.0f} | {cuts[-1]:.0f} | {len(errors)} |"
        + "".join(f"\n- {error}" for error in sorted(set(errors))[:5])
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--questions", type=int, default=10, help="questions of each client")
    parser.add_argument("--url", help="an app that runs already (on this machine)")
    options = parser.parse_args()
    with nullcontext(options.url) if options.url else running_app() as url:
        print(heading("python -m benchmarks.load"))
        print(measure(url, options.clients, options.questions))


if __name__ == "__main__":
    main()
