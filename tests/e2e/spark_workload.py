"""A Spark application that waits, where it matters, until its standard input says to go on.

``spark_workload.py GOOD BAD`` runs in two job groups. Each line of its standard output tells
where it is: the address of its UI; ``held`` while two tasks of the good group wait; ``done``
when nothing is left to do but to end. A line of input lets it go on.
"""

import socket
import sys
from contextlib import suppress
from importlib import import_module
from operator import add
from threading import Thread
from typing import Any

# Not by name: there are machines without PySpark, and types are checked there, too.
SparkSession: Any = import_module("pyspark.sql").SparkSession
TaskContext: Any = import_module("pyspark").TaskContext
JobFailed: Any = import_module("py4j.protocol").Py4JJavaError


def main(good: str, bad: str) -> None:
    """Run the workload."""
    builder = SparkSession.builder.master("local[2,4]")  # two cores, four attempts
    for key, value in {
        "spark.driver.host": "127.0.0.1",
        "spark.ui.port": "0",
        "spark.ui.showConsoleProgress": "false",
        "spark.driver.memory": "512m",
    }.items():
        builder = builder.config(key, value)
    spark = builder.getOrCreate()
    context = spark.sparkContext
    tell(f"ui {context.uiWebUrl}")
    context.setJobGroup(bad, "it works at first")
    context.parallelize(range(10), 2).count()
    context.setJobGroup(good, "all is well in the end")
    shuffled = context.parallelize(range(100), 8).map(by_digit).reduceByKey(add, 4)
    shuffled.count()
    shuffled.collect()  # the first stage is skipped: its output is still there
    context.parallelize(range(6), 6).map(fails_first).count()
    held(context)
    context.setJobGroup(bad, "it fails")
    with suppress(JobFailed):
        context.parallelize(range(3), 3).map(fails_always).count()
    tell("done")
    sys.stdin.readline()
    spark.stop()


def held(context: Any) -> None:
    """Run a sub-job of four tasks, each of which waits for the line of input."""
    gate = socket.create_server(("127.0.0.1", 0))
    port = gate.getsockname()[1]

    def wait(_: int) -> None:
        # Nobody accepts: the connection hangs until the gate is gone, and fails from then on.
        with suppress(OSError), socket.create_connection(("127.0.0.1", port)) as connection:
            connection.recv(1)

    def open_gate() -> None:
        sys.stdin.readline()
        gate.close()

    opener = Thread(target=open_gate)
    opener.start()
    tell("held")
    context.parallelize(range(4), 4).foreach(wait)
    opener.join()


def by_digit(number: int) -> tuple[int, int]:
    """Give a pair to shuffle."""
    return number % 10, number


def fails_first(number: int) -> int:
    """Fail twice out of six, at the first attempt only."""
    if number % 3 == 1 and TaskContext.get().attemptNumber() == 0:
        raise ValueError("not at the first attempt")
    return number


def fails_always(number: int) -> int:
    """Fail one of three for good."""
    if number == 1:
        raise ValueError("never")
    return number


def tell(line: str) -> None:
    """Tell the test where it is."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
