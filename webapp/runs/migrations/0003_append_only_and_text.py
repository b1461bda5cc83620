"""What Django's models cannot say, for each database: logs are append-only and go with their run;
tasks are found by any part of their words."""

from __future__ import annotations

from django.db import migrations

SQLITE = [
    """
    CREATE TRIGGER runs_runevent_no_update BEFORE UPDATE ON runs_runevent
    BEGIN SELECT RAISE(ABORT, 'events are append-only'); END
    """,
    """
    CREATE TRIGGER runs_runevent_no_delete BEFORE DELETE ON runs_runevent
    WHEN EXISTS (SELECT 1 FROM runs_run WHERE id = OLD.run_id)
    BEGIN SELECT RAISE(ABORT, 'events are append-only'); END
    """,
    """
    CREATE TRIGGER runs_run_take_events AFTER DELETE ON runs_run
    BEGIN DELETE FROM runs_runevent WHERE run_id = OLD.id; END
    """,
    """
    CREATE VIRTUAL TABLE runs_run_text USING fts5(
        question, content='runs_run', content_rowid='id', tokenize='trigram')
    """,
    """
    CREATE TRIGGER runs_run_text_insert AFTER INSERT ON runs_run
    BEGIN INSERT INTO runs_run_text (rowid, question) VALUES (NEW.id, NEW.question); END
    """,
    """
    CREATE TRIGGER runs_run_text_delete AFTER DELETE ON runs_run
    BEGIN INSERT INTO runs_run_text (runs_run_text, rowid, question)
          VALUES ('delete', OLD.id, OLD.question); END
    """,
    """
    CREATE TRIGGER runs_run_text_update AFTER UPDATE OF question ON runs_run
    BEGIN INSERT INTO runs_run_text (runs_run_text, rowid, question)
          VALUES ('delete', OLD.id, OLD.question);
          INSERT INTO runs_run_text (rowid, question) VALUES (NEW.id, NEW.question); END
    """,
]
SQLITE_BACK = [
    "DROP TRIGGER runs_runevent_no_update",
    "DROP TRIGGER runs_runevent_no_delete",
    "DROP TRIGGER runs_run_take_events",
    "DROP TRIGGER runs_run_text_insert",
    "DROP TRIGGER runs_run_text_delete",
    "DROP TRIGGER runs_run_text_update",
    "DROP TABLE runs_run_text",
]
POSTGRES = [
    """
    CREATE FUNCTION runs_refuse_event_change() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF TG_OP = 'DELETE' AND NOT EXISTS (SELECT 1 FROM runs_run WHERE id = OLD.run_id) THEN
            RETURN OLD;
        END IF;
        RAISE EXCEPTION 'events are append-only' USING ERRCODE = 'check_violation';
    END $$
    """,
    """
    CREATE TRIGGER runs_runevent_append_only BEFORE UPDATE OR DELETE ON runs_runevent
    FOR EACH ROW EXECUTE FUNCTION runs_refuse_event_change()
    """,
    """
    CREATE FUNCTION runs_take_events() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN DELETE FROM runs_runevent WHERE run_id = OLD.id; RETURN OLD; END $$
    """,
    """
    CREATE TRIGGER runs_run_take_events AFTER DELETE ON runs_run
    FOR EACH ROW EXECUTE FUNCTION runs_take_events()
    """,
    "CREATE EXTENSION IF NOT EXISTS pg_trgm",
    "CREATE INDEX runs_run_text ON runs_run USING gin (UPPER(question) gin_trgm_ops)",
]
POSTGRES_BACK = [
    "DROP TRIGGER runs_runevent_append_only ON runs_runevent",
    "DROP TRIGGER runs_run_take_events ON runs_run",
    "DROP FUNCTION runs_refuse_event_change()",
    "DROP FUNCTION runs_take_events()",
    "DROP INDEX runs_run_text",
]


def _run(sqlite: list[str], postgres: list[str]):  # type: ignore[no-untyped-def]
    def apply(apps, schema_editor) -> None:  # type: ignore[no-untyped-def]
        statements = {"sqlite": sqlite, "postgresql": postgres}[schema_editor.connection.vendor]
        for statement in statements:
            schema_editor.execute(statement)

    return apply


class Migration(migrations.Migration):
    dependencies = [("runs", "0002_initial")]
    operations = [
        migrations.RunPython(_run(SQLITE, POSTGRES), _run(SQLITE_BACK, POSTGRES_BACK)),
    ]
