"""What Django's models cannot say, for each database: revisions and decisions are only ever inserted,
and go with their label and their label set."""

from __future__ import annotations

from django.db import migrations

# table, column of its parent, the parent's table, what is refused in words
KEPT = (
    ("review_labelrevision", "label_id", "review_steplabel", "revisions of labels"),
    ("review_decision", "label_set_id", "review_labelset", "decisions on labels"),
)


def _sqlite():  # type: ignore[no-untyped-def]
    for table, column, parent, words in KEPT:
        yield f"""
            CREATE TRIGGER {table}_no_update BEFORE UPDATE ON {table}
            BEGIN SELECT RAISE(ABORT, '{words} are append-only'); END
        """
        yield f"""
            CREATE TRIGGER {table}_no_delete BEFORE DELETE ON {table}
            WHEN EXISTS (SELECT 1 FROM {parent} WHERE id = OLD.{column})
            BEGIN SELECT RAISE(ABORT, '{words} are append-only'); END
        """
        yield f"""
            CREATE TRIGGER {parent}_take_{table} AFTER DELETE ON {parent}
            BEGIN DELETE FROM {table} WHERE {column} = OLD.id; END
        """


def _postgresql():  # type: ignore[no-untyped-def]
    for table, column, parent, words in KEPT:
        yield f"""
            CREATE FUNCTION {table}_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN
                IF TG_OP = 'DELETE'
                   AND NOT EXISTS (SELECT 1 FROM {parent} WHERE id = OLD.{column}) THEN
                    RETURN OLD;
                END IF;
                RAISE EXCEPTION '{words} are append-only' USING ERRCODE = 'check_violation';
            END $$
        """
        yield f"""
            CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE ON {table}
            FOR EACH ROW EXECUTE FUNCTION {table}_refuse()
        """
        yield f"""
            CREATE FUNCTION {parent}_take() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN DELETE FROM {table} WHERE {column} = OLD.id; RETURN OLD; END $$
        """
        yield f"""
            CREATE TRIGGER {parent}_take_{table} AFTER DELETE ON {parent}
            FOR EACH ROW EXECUTE FUNCTION {parent}_take()
        """


def _sqlite_back():  # type: ignore[no-untyped-def]
    for table, _, parent, _ in KEPT:
        yield f"DROP TRIGGER {table}_no_update"
        yield f"DROP TRIGGER {table}_no_delete"
        yield f"DROP TRIGGER {parent}_take_{table}"


def _postgresql_back():  # type: ignore[no-untyped-def]
    for table, _, parent, _ in KEPT:
        yield f"DROP TRIGGER {table}_append_only ON {table}"
        yield f"DROP TRIGGER {parent}_take_{table} ON {parent}"
        yield f"DROP FUNCTION {table}_refuse()"
        yield f"DROP FUNCTION {parent}_take()"


def _run(sqlite, postgresql):  # type: ignore[no-untyped-def]
    def apply(apps, schema_editor) -> None:  # type: ignore[no-untyped-def]
        made = {"sqlite": sqlite, "postgresql": postgresql}[schema_editor.connection.vendor]
        for statement in made():
            schema_editor.execute(statement)

    return apply


class Migration(migrations.Migration):
    dependencies = [("review", "0001_initial")]
    operations = [
        migrations.RunPython(_run(_sqlite, _postgresql), _run(_sqlite_back, _postgresql_back)),
    ]
