"""What every rule of the workflow has alike, said once: log, benchmark, environment, and the code it runs.

A rule file says what a job reads, writes and depends on. After the last rule, `complete` adds to each rule
that runs a script: the log `<logs>/RULE/WILDCARDS.log`, the benchmark, the conda environment, and
the parameter `code`, a digest that reruns the rule when the code behind its script changes (docs/reruns.md).
"""

import re
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any


def complete(workflow: Any, project: Path, untimed: Collection[str], code: Callable[[Path], str]) -> None:
    """Give the rules of the project's files what they have alike; what a rule says itself stays.

    Args:
        workflow: Snakemake's, all rules read.
        project: the project's folder.
        untimed: rules that get no benchmark; what may come from the cache must not have one. A download gets
            neither benchmark nor code: what is there is never fetched again.
        code: gives the digest of a script.
    """
    rules, scripts = project / "workflow/rules", project / "workflow/scripts"
    # those of this workflow, not of modules that it uses; of a module by their names in its files
    for rule in sorted(workflow.modifier.rules, key=lambda rule: rule.name):
        named = rule.name.removeprefix(workflow.modifier.namespace or "")
        # without output where the configuration asks for nothing of it
        if rule.script is None or not rule.output or not Path(rule.snakefile).is_relative_to(rules):
            continue
        of = _file_name(rule)
        rule.log_modifier = rule.benchmark_modifier = rule.output_modifier
        if not rule.log:
            rule.set_log(f"<logs>/{named}/{of}.log" if of else f"<logs>/{named}.log")
        if rule.conda_env is None:
            rule.conda_env = str(project / "envs/environment.yaml")
        if "download" in rule.resources:
            continue
        if not rule.cache.output and named not in untimed:
            rule.benchmark = f"<benchmarks>/{named}/{of or 'all'}.tsv"
        # computed for the rules that a job asks for, not for all of them
        rule.set_params(code=lambda _wildcards, script=scripts / Path(rule.script).name: code(script))


def _file_name(rule: Any) -> str:
    """The wildcards of a rule as in the names of its log and benchmark, in the order of its first output."""
    first = str(rule.output[0])
    names = dict.fromkeys(re.findall(r"\{\s*(\w+)", first))
    return "_".join(f"{{{name}}}" for name in names)
