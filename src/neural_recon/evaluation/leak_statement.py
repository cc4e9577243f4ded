"""Whether anything of the test set reached a decoder: what is said of it, and what the checks found."""

from pathlib import Path

from neural_recon.core.kinds import Section
from neural_recon.core.refusals import is_there
from neural_recon.core.tables import read_table
from neural_recon.evaluation.controls.leaks import HOLDS, LOOKS, NOTHING

# of `leaks.check_subject`
COLUMNS = ["check", "compared", "difference", "tolerance", "verdict"]


class LeakStatement(Section):
    """What is known of a leak.

    Attributes:
        calibration: of the decoder; None where nobody knows, as of other methods' pictures.
        tuned: betas that were tuned on repetitions of test images, as of `DataSet.tuned`.
        checks: check -> verdict of `controls.leaks`; None where they were not made.
        stated: what who hands in says of it.
    """

    calibration: str | None = None
    tuned: str = ""
    checks: dict[str, str] | None = None
    stated: str = ""

    @property
    def free(self) -> bool:
        """Whether it is known, by checks, that nothing of the test set reached the decoder."""
        verdicts = set((self.checks or {}).values())
        return (
            HOLDS in verdicts
            and verdicts <= {HOLDS, NOTHING}
            and self.calibration not in (None, "published")
            and not self.tuned
        )

    @property
    def text(self) -> str:
        """In a sentence or two."""
        if self.calibration == "published":
            said = "predictions are scaled by statistics of the test set, as in published scripts"
        elif self.checks is None:
            said = "not checked"
        else:
            verdicts = list(self.checks.values())
            counts = {name: verdicts.count(name) for name in dict.fromkeys(verdicts)}
            said = f"{len(verdicts)} checks: {', '.join(f'{name} {n}' for name, n in counts.items())}"
        tuned = f"; the betas {self.tuned} were tuned on repetitions of test images" if self.tuned else ""
        stated = f"; stated: {self.stated}" if self.stated else ""
        return f"{said}{tuned}{stated}"

    @property
    def badge(self) -> str:
        """In two or three words."""
        if self.free:
            return "leak-free"
        verdicts = set((self.checks or {}).values())
        if self.calibration == "published" or LOOKS in verdicts:
            return "looks at the test set"
        if self.checks is None:
            return "not checked"
        if not verdicts - {NOTHING}:
            return "nothing was checked"
        return "checks hold, betas tuned" if verdicts <= {HOLDS, NOTHING} else "checks fail"


def of_run(calibration: str | None, tuned: str, table: Path) -> LeakStatement:
    """That of a run's subject.

    Args:
        table: of the checks, `controls/SUBJECT/leaks.tsv`; it may not be there.

    Raises:
        InputError: another file is.
    """
    checks = None
    if is_there(table):
        rows = read_table(table, COLUMNS)
        checks = dict(zip(rows["check"].astype(str), rows["verdict"].astype(str), strict=True))
    return LeakStatement(calibration=calibration, tuned=tuned, checks=checks)
