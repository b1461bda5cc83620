"""Comments, and what Django's models cannot say of them: their history is append-only and goes with
them."""

import django.db.models.deletion
import uuid
from django.conf import settings
from django.db import migrations, models

SQLITE = [
    """
    CREATE TRIGGER discussion_revision_no_update BEFORE UPDATE ON discussion_revision
    BEGIN SELECT RAISE(ABORT, 'the history of comments is append-only'); END
    """,
    """
    CREATE TRIGGER discussion_revision_no_delete BEFORE DELETE ON discussion_revision
    WHEN EXISTS (SELECT 1 FROM discussion_comment WHERE id = OLD.comment_id)
    BEGIN SELECT RAISE(ABORT, 'the history of comments is append-only'); END
    """,
    """
    CREATE TRIGGER discussion_comment_take_revisions AFTER DELETE ON discussion_comment
    BEGIN DELETE FROM discussion_revision WHERE comment_id = OLD.id; END
    """,
]
SQLITE_BACK = [
    "DROP TRIGGER discussion_revision_no_update",
    "DROP TRIGGER discussion_revision_no_delete",
    "DROP TRIGGER discussion_comment_take_revisions",
]
POSTGRES = [
    """
    CREATE FUNCTION discussion_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF TG_OP = 'DELETE'
           AND NOT EXISTS (SELECT 1 FROM discussion_comment WHERE id = OLD.comment_id) THEN
            RETURN OLD;
        END IF;
        RAISE EXCEPTION 'the history of comments is append-only' USING ERRCODE = 'check_violation';
    END $$
    """,
    """
    CREATE TRIGGER discussion_revision_append_only BEFORE UPDATE OR DELETE ON discussion_revision
    FOR EACH ROW EXECUTE FUNCTION discussion_refuse_change()
    """,
    """
    CREATE FUNCTION discussion_take_revisions() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN DELETE FROM discussion_revision WHERE comment_id = OLD.id; RETURN OLD; END $$
    """,
    """
    CREATE TRIGGER discussion_comment_take_revisions AFTER DELETE ON discussion_comment
    FOR EACH ROW EXECUTE FUNCTION discussion_take_revisions()
    """,
]
POSTGRES_BACK = [
    "DROP TRIGGER discussion_revision_append_only ON discussion_revision",
    "DROP TRIGGER discussion_comment_take_revisions ON discussion_comment",
    "DROP FUNCTION discussion_refuse_change()",
    "DROP FUNCTION discussion_take_revisions()",
]


def _run(sqlite: list[str], postgres: list[str]):  # type: ignore[no-untyped-def]
    def apply(apps, schema_editor) -> None:  # type: ignore[no-untyped-def]
        statements = {"sqlite": sqlite, "postgresql": postgres}[schema_editor.connection.vendor]
        for statement in statements:
            schema_editor.execute(statement)

    return apply


class Migration(migrations.Migration):

    initial = True

    dependencies = [
        ('runs', '0006_stand_in'),
        ('teams', '0003_invitations'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='Comment',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('uuid', models.UUIDField(default=uuid.uuid4, editable=False, unique=True)),
                ('step', models.PositiveIntegerField(blank=True, null=True)),
                ('author_name', models.CharField(max_length=150)),
                ('text', models.TextField(blank=True)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('edited_at', models.DateTimeField(blank=True, null=True)),
                ('deleted_at', models.DateTimeField(blank=True, null=True)),
                ('changes', models.PositiveIntegerField(default=0)),
                ('author', models.ForeignKey(null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('run', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='comments', to='runs.run')),
                ('workspace', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='comments', to='teams.workspace')),
            ],
        ),
        migrations.CreateModel(
            name='Notification',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('reason', models.CharField(choices=[('mention', 'mentioned you'), ('own_run', 'commented on your run')], max_length=10)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('read_at', models.DateTimeField(blank=True, null=True)),
                ('comment', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='notifications', to='discussion.comment')),
                ('user', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='notifications', to=settings.AUTH_USER_MODEL)),
            ],
        ),
        migrations.CreateModel(
            name='Revision',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('number', models.PositiveIntegerField()),
                ('text', models.TextField(blank=True)),
                ('deleted', models.BooleanField(default=False)),
                ('at', models.DateTimeField(auto_now_add=True)),
                ('by_name', models.CharField(max_length=150)),
                ('comment', models.ForeignKey(on_delete=django.db.models.deletion.DO_NOTHING, related_name='revisions', to='discussion.comment')),
            ],
        ),
        migrations.AddIndex(
            model_name='comment',
            index=models.Index(fields=['run', 'id'], name='comment_of_run'),
        ),
        migrations.AddIndex(
            model_name='comment',
            index=models.Index(fields=['author', 'created_at'], name='comment_by_author'),
        ),
        migrations.AddIndex(
            model_name='notification',
            index=models.Index(fields=['user', '-id'], name='notification_list'),
        ),
        migrations.AddIndex(
            model_name='notification',
            index=models.Index(condition=models.Q(('read_at', None)), fields=['user'], name='notification_unread'),
        ),
        migrations.AddConstraint(
            model_name='notification',
            constraint=models.UniqueConstraint(fields=('user', 'comment'), name='told_once_of_a_comment'),
        ),
        migrations.AddConstraint(
            model_name='revision',
            constraint=models.UniqueConstraint(fields=('comment', 'number'), name='revision_of_comment'),
        ),
        migrations.RunPython(_run(SQLITE, POSTGRES), _run(SQLITE_BACK, POSTGRES_BACK)),
    ]
