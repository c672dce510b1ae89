"""crosprov factory"""

from __future__ import annotations

import typer

from crosprov.cli import factory_backup, factory_bundle

app = typer.Typer(help="Bundle releases of the factory server, and keep its data.")

app.command("bundle", epilog=factory_bundle.EXAMPLES)(factory_bundle.bundle)
app.command("backup", epilog=factory_backup.BACKUP_EXAMPLES)(factory_backup.backup)
app.command("restore", epilog=factory_backup.RESTORE_EXAMPLES)(factory_backup.restore)
