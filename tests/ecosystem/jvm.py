"""Programs of Kafka's ecosystem in Java: their jars, fetched once from Maven Central, and processes with small heaps."""

import hashlib
import os
import pathlib
import shutil
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
CACHE = pathlib.Path(os.environ.get("OTTLA_CACHE", pathlib.Path.home() / ".cache" / "ottla"))
JARS = CACHE / "ecosystem-4.3.1"
LOGGING = """\
rootLogger.level = WARN
rootLogger.appenderRef.out.ref = OUT
appender.out.type = Console
appender.out.name = OUT
appender.out.layout.type = PatternLayout
appender.out.layout.pattern = %d{ISO8601} %-5p %c{1} - %m%n
"""


def prepare():
    """Fetches the jars unless they are there."""
    for program, package in (("javac", "openjdk-17-jdk-headless"), ("mvn", "maven")):
        if not shutil.which(program):
            sys.exit(f"{program} is missing: apt-get install {package}")
    logging = JARS / "log4j2.properties"
    if not logging.exists():
        print("fetching the jars of tests/ecosystem/pom.xml", flush=True)
        subprocess.run(["mvn", "-q", "-B", "-f", HERE / "pom.xml", "dependency:copy-dependencies",
                        f"-DoutputDirectory={JARS}"], check=True)
        logging.write_text(LOGGING)


def compiled(source):
    """The folder with the classes of a source file, compiled unless that was done before."""
    content = pathlib.Path(source).read_bytes()
    classes = CACHE / "classes" / hashlib.sha256(content).hexdigest()[:16]
    if not classes.exists():
        making = classes.with_suffix(f".{os.getpid()}")
        making.mkdir(parents=True)
        subprocess.run(["javac", "-J-Xmx256M", "-cp", f"{JARS}/*", "-d", making, source], check=True)
        making.rename(classes)
    return classes


def command(main, *arguments, classes=None, heap="256M"):
    """The words that run a main class."""
    path = f"{JARS}/*" + (f":{classes}" if classes else "")
    return ["java", f"-Xmx{heap}", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1",
            f"-Dlog4j2.configurationFile={JARS}/log4j2.properties", "-cp", path, main, *map(str, arguments)]


class Program:
    """A Java program in the background, whose output goes to a file; started, killed, started again."""

    def __init__(self, log, main, *arguments, folder=None, **options):
        self._command = command(main, *arguments, **options)
        self._log, self._folder, self._process = pathlib.Path(log), folder, None

    def start(self):
        with open(self._log, "a") as log:
            self._process = subprocess.Popen(self._command, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                             cwd=self._folder)

    def is_up(self):
        return self._process is not None and self._process.poll() is None

    def kill(self):
        self._process.kill()
        self._process.wait()

    def stop(self):
        """Ends it in order, or after half a minute without."""
        if not self.is_up():
            return
        self._process.terminate()
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self.kill()

    def told(self, word):
        """The lines of its output that begin with this word, without it."""
        lines = self._log.read_text(errors="replace").splitlines() if self._log.exists() else []
        return [line.removeprefix(word).strip() for line in lines if line.startswith(word + " ")]
