"""`cdc completion`."""

from __future__ import annotations

import click


@click.command(short_help="Print the completion script for bash or zsh.")
@click.argument("shell", type=click.Choice(["bash", "zsh"]))
def completion(shell: str) -> None:
    """Print the script with which SHELL completes commands, options and the names of the worker's connectors.

    \b
    cdc completion bash > ~/.local/share/bash-completion/completions/cdc
    cdc completion zsh > "${fpath[1]}/_cdc"
    source <(cdc completion bash)     for this shell only
    """
    from click.shell_completion import get_completion_class

    found = get_completion_class(shell)
    assert found is not None, "click knows both shells"
    made = found(click.get_current_context().find_root().command, {}, "cdc", "_CDC_COMPLETE")
    click.echo(made.source_template % made.source_vars(), nl=False)
