#!/usr/bin/env python3
"""A worker for `web` pools of Parking Lot, in the standard library alone (Python 3.9+).

It leases tasks in batches with a long poll, runs each in a thread, says in one batch of
heartbeats that it works on them, and completes or fails them. To make it yours, replace
handle(). Everything else is the protocol, and short enough to be read:

  - A lease that was not extended for its TTL is lost, and somebody else gets the task.
    Time counts from when a heartbeat was *sent*, by this process's own clock: whoever
    cannot reach the server for that long stops by itself, before it is replaced.
  - What is lost is not reported. What was cancelled is stopped, and failed.
  - A request that got no answer is sent again. A completion may be sent twice: the
    second one is answered as the first.
  - SIGTERM: no new leases, --grace seconds for what runs, the rest is given back.
"""

import argparse
import http.client
import json
import logging
import os
import random
import signal
import socket
import threading
import time
import urllib.parse

log = logging.getLogger("worker")


def handle(task, stop):
    """Does the work of one task and returns its result, which is any JSON.

    task is what the server sent: task["payload"], task["executor"], task["labels"], ...
    stop is a threading.Event: when it is set, the work is not wanted any more. Raise
    Permanent for what no other attempt would do better; any other exception is retried
    as long as the task has attempts left.
    """
    payload = task.get("payload") or {}
    if stop.wait(payload.get("durationMs", 0) / 1000):
        return None
    if "fail" in payload:
        raise Permanent(payload["fail"])
    return {"sleptMs": payload.get("durationMs", 0), "attempt": task["attempt"]}


class Permanent(Exception):
    """The task cannot be done, by nobody."""


class Refused(Exception):
    """The server answered, and it was no."""

    def __init__(self, status, problem):
        super().__init__(f"{status} {problem.get('code', '')}: {problem.get('detail', '')}")
        self.status = status


class Client:
    """Speaks HTTP with one kept-alive connection for each thread."""

    def __init__(self, server):
        parts = urllib.parse.urlsplit(server)
        secure = parts.scheme == "https"
        self.factory = http.client.HTTPSConnection if secure else http.client.HTTPConnection
        self.address = parts.netloc
        self.prefix = parts.path.rstrip("/")
        self.local = threading.local()

    def connection(self, timeout):
        if getattr(self.local, "connection", None) is None:
            self.local.connection = self.factory(self.address, timeout=timeout)
            self.local.connection.connect()
        self.local.connection.sock.settimeout(timeout)
        return self.local.connection

    def post(self, path, body, timeout=10):
        """Sends once. Raises Refused, or OSError when there was no (whole) answer."""
        try:
            connection = self.connection(timeout)
            connection.request("POST", self.prefix + path, json.dumps(body), {"Content-Type": "application/json"})
            response = connection.getresponse()
            raw = response.read()
            answer = json.loads(raw) if raw else {}
        except (OSError, http.client.HTTPException, ValueError) as err:
            self.close()
            raise OSError(f"no answer: {err!r}") from err
        if response.status >= 300:
            raise Refused(response.status, answer)
        return answer

    def close(self):
        connection, self.local.connection = getattr(self.local, "connection", None), None
        if connection:
            connection.close()


def again(err):
    """Whether a request that ended like this may go through the next time."""
    return not isinstance(err, Refused) or err.status >= 500 or err.status in (408, 429)


def pauses():
    """Waits between attempts: doubling to 5 seconds, each with jitter."""
    pause = 0.1
    while True:
        yield pause * random.uniform(0.5, 1)
        pause = min(2 * pause, 5)


class Lease:
    """One task in this worker's hands."""

    def __init__(self, task):
        self.task = task
        self.id = task["leaseId"]
        self.ttl = task["ttlSecs"]
        self.until = time.monotonic() + self.ttl  # by our clock; the first heartbeat makes it exact
        self.stop = threading.Event()
        self.why = ""  # "lost", "cancelled" or "released", once stop is set

    def end(self, why):
        if not self.stop.is_set():
            self.why = why
            self.stop.set()


class Worker:
    def __init__(self, args):
        self.args = args
        self.client = Client(args.server)
        self.leases = {}  # by id
        self.changed = threading.Condition()
        self.draining = threading.Event()
        self.finished = threading.Event()
        self.record_lock = threading.Lock()
        self.polling = None  # the socket of the long poll, to end it

    # Leasing.

    def lease_forever(self):
        waits = pauses()
        while not self.draining.is_set():
            with self.changed:
                free = self.args.concurrency - len(self.leases)
                if free <= 0:
                    self.changed.wait(1)
                    continue
            try:
                tasks = self.poll(min(free, 100))
                waits = pauses()
            except (Refused, OSError) as err:
                if self.draining.is_set():
                    return
                if not again(err):
                    raise SystemExit(f"cannot lease from pool {self.args.pool}: {err}") from err
                log.warning("leasing: %s", err)
                self.draining.wait(next(waits))
                continue
            for task in tasks:
                self.begin(Lease(task))

    def poll(self, count):
        body = {"workerId": self.args.worker_id, "maxTasks": count, "waitSecs": self.args.wait}
        if self.args.ttl:
            body["ttlSecs"] = self.args.ttl
        self.polling = self.client.connection(self.args.wait + 10).sock
        return self.client.post(f"/pools/{self.args.pool}/leases", body, timeout=self.args.wait + 10)["tasks"]

    def begin(self, lease):
        with self.changed:
            self.leases[lease.id] = lease
        self.record("leased", lease)
        if self.draining.is_set():
            lease.end("released")
        threading.Thread(target=self.work, args=(lease,), daemon=True).start()

    # Working.

    def work(self, lease):
        path, body = f"/leases/{lease.id}/complete", None
        try:
            body = {"result": handle(lease.task, lease.stop)}
        except Permanent as err:
            path, body = f"/leases/{lease.id}/fail", {"message": str(err) or "failed"}
        except Exception as err:  # whatever the handler raises fails its task, not the worker
            path, body = f"/leases/{lease.id}/fail", {"message": repr(err)[:2000], "retryable": True}
        if lease.why == "cancelled":
            path, body = f"/leases/{lease.id}/fail", {"message": "cancelled"}
        elif lease.why == "released":
            path, body = f"/leases/{lease.id}/release", {}
        if lease.why != "lost":
            self.report(lease, path, body)
        with self.changed:
            del self.leases[lease.id]
            self.changed.notify_all()
        self.client.close()

    def report(self, lease, path, body):
        for pause in pauses():
            try:
                end = self.client.post(path, body)
                self.record(end["status"], lease)
                return
            except (Refused, OSError) as err:
                if again(err) and time.monotonic() < lease.until:
                    time.sleep(pause)
                elif isinstance(err, Refused) and err.status in (413, 422) and path.endswith("/complete"):
                    path, body = f"/leases/{lease.id}/fail", {"message": f"the result was refused: {err}"}
                else:
                    log.warning("%s of task %s: %s", path.rsplit("/", 1)[1], lease.task["taskId"], err)
                    self.record("lost", lease)
                    return

    # Staying alive.

    def heartbeat_forever(self):
        while not self.finished.is_set():
            with self.changed:
                held = list(self.leases.values())
            shortest = min((lease.ttl for lease in held), default=1.0)
            for start in range(0, len(held), 1000):
                self.heartbeat(held[start:start + 1000])
            now = time.monotonic()
            for lease in held:
                if now >= lease.until:
                    lease.end("lost")
            self.finished.wait(min(1.0, shortest / 4))

    def heartbeat(self, held):
        sent = time.monotonic()
        timeout = max(0.2, min(lease.ttl for lease in held) / 4)
        try:
            results = self.client.post("/leases:heartbeat", {"leaseIds": [lease.id for lease in held]}, timeout)["results"]
        except (Refused, OSError) as err:
            log.warning("heartbeat: %s", err)
            return
        for lease, result in zip(held, results):
            if result["lost"]:
                lease.end("lost")
                continue
            lease.until = sent + lease.ttl
            if result["cancelRequested"]:
                lease.end("cancelled")

    # Beginning and ending.

    def run(self):
        for name in (signal.SIGTERM, signal.SIGINT):
            signal.signal(name, lambda *_: self.draining.set())
        threading.Thread(target=self.heartbeat_forever, daemon=True).start()
        poller = threading.Thread(target=self.lease_forever, daemon=True)
        poller.start()
        while not self.draining.wait(0.2) and poller.is_alive():
            pass
        stopped = self.draining.is_set()
        self.draining.set()
        self.hang_up()
        poller.join(5)
        self.drain()
        self.finished.set()
        return 0 if stopped else 1

    def hang_up(self):
        """Ends the long poll: the server gives back what it was about to lease to us."""
        try:
            if self.polling:
                self.polling.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # it had ended

    def drain(self):
        deadline = time.monotonic() + self.args.grace
        with self.changed:
            while self.leases and time.monotonic() < deadline:
                self.changed.wait(max(0.01, deadline - time.monotonic()))
            for lease in self.leases.values():
                lease.end("released")
            self.changed.wait_for(lambda: not self.leases, timeout=5)

    def record(self, event, lease):
        """Notes what this worker did, one JSON object a line; for tests and trials."""
        if not self.args.record:
            return
        line = json.dumps({
            "event": event, "taskId": lease.task["taskId"], "attempt": lease.task["attempt"],
            "leaseId": lease.id, "workerId": self.args.worker_id, "at": time.time(),
        })
        with self.record_lock, open(self.args.record, "a", encoding="utf-8") as file:
            file.write(line + "\n")


def main():
    parser = argparse.ArgumentParser(description="Runs tasks of a web pool.")
    parser.add_argument("--server", default=os.environ.get("PARKINGLOT_SERVER", "http://127.0.0.1:8080"))
    parser.add_argument("--pool", required=True)
    parser.add_argument("--concurrency", type=int, default=4, help="tasks at once")
    parser.add_argument("--worker-id", default=f"{socket.gethostname()}-{os.getpid()}", help="a name; new after every restart")
    parser.add_argument("--wait", type=float, default=20, help="seconds to wait for a task in one request")
    parser.add_argument("--ttl", type=float, help="seconds that a lease lasts without a heartbeat; default: the server's")
    parser.add_argument("--grace", type=float, default=10, help="seconds that running tasks get to end at SIGTERM")
    parser.add_argument("--record", help="file to append what happened to")
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    log.info("worker %s: leasing from %s, pool %s", args.worker_id, args.server, args.pool)
    raise SystemExit(Worker(args).run())


if __name__ == "__main__":
    main()
