"""The role reviewer, blind review, and the audit log with what Django's models cannot say of it: rows
are append-only, go with their workspace, and are found by any part of their words."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

SQLITE = [
    """
    CREATE TRIGGER teams_auditentry_no_update BEFORE UPDATE ON teams_auditentry
    BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END
    """,
    """
    CREATE TRIGGER teams_auditentry_no_delete BEFORE DELETE ON teams_auditentry
    WHEN EXISTS (SELECT 1 FROM teams_workspace WHERE id = OLD.workspace_id)
    BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END
    """,
    """
    CREATE TRIGGER teams_workspace_take_audit AFTER DELETE ON teams_workspace
    BEGIN DELETE FROM teams_auditentry WHERE workspace_id = OLD.id; END
    """,
    """
    CREATE VIRTUAL TABLE teams_audit_text USING fts5(
        words, content='teams_auditentry', content_rowid='id', tokenize='trigram')
    """,
    """
    CREATE TRIGGER teams_audit_text_insert AFTER INSERT ON teams_auditentry
    BEGIN INSERT INTO teams_audit_text (rowid, words) VALUES (NEW.id, NEW.words); END
    """,
    """
    CREATE TRIGGER teams_audit_text_delete AFTER DELETE ON teams_auditentry
    BEGIN INSERT INTO teams_audit_text (teams_audit_text, rowid, words)
          VALUES ('delete', OLD.id, OLD.words); END
    """,
]
SQLITE_BACK = [
    "DROP TRIGGER teams_auditentry_no_update",
    "DROP TRIGGER teams_auditentry_no_delete",
    "DROP TRIGGER teams_workspace_take_audit",
    "DROP TRIGGER teams_audit_text_insert",
    "DROP TRIGGER teams_audit_text_delete",
    "DROP TABLE teams_audit_text",
]
POSTGRES = [
    """
    CREATE FUNCTION teams_refuse_audit_change() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF TG_OP = 'DELETE'
           AND NOT EXISTS (SELECT 1 FROM teams_workspace WHERE id = OLD.workspace_id) THEN
            RETURN OLD;
        END IF;
        RAISE EXCEPTION 'the audit log is append-only' USING ERRCODE = 'check_violation';
    END $$
    """,
    """
    CREATE TRIGGER teams_auditentry_append_only BEFORE UPDATE OR DELETE ON teams_auditentry
    FOR EACH ROW EXECUTE FUNCTION teams_refuse_audit_change()
    """,
    """
    CREATE FUNCTION teams_take_audit() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN DELETE FROM teams_auditentry WHERE workspace_id = OLD.id; RETURN OLD; END $$
    """,
    """
    CREATE TRIGGER teams_workspace_take_audit AFTER DELETE ON teams_workspace
    FOR EACH ROW EXECUTE FUNCTION teams_take_audit()
    """,
    "CREATE EXTENSION IF NOT EXISTS pg_trgm",
    "CREATE INDEX teams_audit_text ON teams_auditentry USING gin (UPPER(words) gin_trgm_ops)",
]
POSTGRES_BACK = [
    "DROP TRIGGER teams_auditentry_append_only ON teams_auditentry",
    "DROP TRIGGER teams_workspace_take_audit ON teams_workspace",
    "DROP FUNCTION teams_refuse_audit_change()",
    "DROP FUNCTION teams_take_audit()",
    "DROP INDEX teams_audit_text",
]


def _run(sqlite: list[str], postgres: list[str]):  # type: ignore[no-untyped-def]
    def apply(apps, schema_editor) -> None:  # type: ignore[no-untyped-def]
        statements = {"sqlite": sqlite, "postgresql": postgres}[schema_editor.connection.vendor]
        for statement in statements:
            schema_editor.execute(statement)

    return apply


class Migration(migrations.Migration):

    dependencies = [
        ('teams', '0001_initial'),
    ]

    operations = [
        migrations.AddField(
            model_name='workspace',
            name='blind_review',
            field=models.BooleanField(default=True),
        ),
        migrations.AlterField(
            model_name='membership',
            name='role',
            field=models.CharField(choices=[('owner', 'Owner'), ('member', 'Member'), ('reviewer', 'Reviewer'), ('viewer', 'Viewer')], default='member', max_length=10),
        ),
        migrations.CreateModel(
            name='AuditEntry',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('at', models.DateTimeField()),
                ('actor_name', models.CharField(blank=True, max_length=150)),
                ('action', models.CharField(max_length=40)),
                ('target', models.CharField(blank=True, max_length=200)),
                ('url', models.CharField(blank=True, max_length=300)),
                ('detail', models.JSONField(default=dict)),
                ('words', models.TextField(blank=True)),
                ('actor', models.ForeignKey(db_constraint=False, db_index=False, null=True, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('workspace', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name='audit', to='teams.workspace')),
            ],
            options={
                'indexes': [models.Index(fields=['workspace', 'at', 'id'], name='audit_list'), models.Index(fields=['workspace', 'action', 'at', 'id'], name='audit_by_action'), models.Index(fields=['workspace', 'actor_name', 'at', 'id'], name='audit_by_person')],
            },
        ),
        migrations.RunPython(_run(SQLITE, POSTGRES), _run(SQLITE_BACK, POSTGRES_BACK)),
    ]
