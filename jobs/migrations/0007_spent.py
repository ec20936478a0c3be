from django.db import migrations, models

# Rows are written in one order, so that two transactions do not wait for each other.
SUMS = """
INSERT INTO jobs_spent (day, scope, tokens, dollars)
SELECT (call.started_at AT TIME ZONE 'UTC')::date, spent.scope,
       sum(call.input_tokens::bigint + call.output_tokens), sum(coalesce(call.cost, 0))
FROM {calls} call
JOIN jobs_aijob job ON job.id = call.job_id
CROSS JOIN LATERAL (VALUES
    ('all'), ('kind:' || job.kind),
    (CASE WHEN job.owner_id IS NOT NULL THEN 'owner:' || job.owner_id
          WHEN job.visitor <> '' THEN 'visitor:' || job.visitor END)
) spent (scope)
WHERE spent.scope IS NOT NULL AND {condition}
GROUP BY 1, 2
HAVING sum(call.input_tokens::bigint + call.output_tokens) > 0 OR sum(coalesce(call.cost, 0)) > 0
ORDER BY 1, 2
ON CONFLICT (day, scope) DO UPDATE
SET tokens = jobs_spent.tokens + excluded.tokens, dollars = jobs_spent.dollars + excluded.dollars;
"""
TODAY = "call.started_at >= date_trunc('day', now() AT TIME ZONE 'UTC') AT TIME ZONE 'UTC'"
# A trigger and not the code that writes calls: workers of the previous release, which know nothing of sums, write calls
# during an upgrade. Today's calls are added up right after it: CREATE TRIGGER lets no other transaction write calls.
ADD = f"""
CREATE FUNCTION jobs_add_spent() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    {SUMS.format(calls="added", condition="true")}
    RETURN NULL;
END $$;
CREATE TRIGGER add_spent AFTER INSERT ON jobs_aicall REFERENCING NEW TABLE AS added
FOR EACH STATEMENT EXECUTE FUNCTION jobs_add_spent();
{SUMS.format(calls="jobs_aicall", condition=TODAY)}
"""
REMOVE = """
DROP TRIGGER add_spent ON jobs_aicall;
DROP FUNCTION jobs_add_spent();
"""


class Migration(migrations.Migration):
    dependencies = [("jobs", "0006_waiting")]

    operations = [
        migrations.CreateModel(
            name="Spent",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("day", models.DateField()),
                ("scope", models.CharField(help_text="Whose calls: see Spent.by.", max_length=60)),
                ("tokens", models.BigIntegerField()),
                ("dollars", models.DecimalField(decimal_places=8, max_digits=18)),
            ],
        ),
        migrations.AddConstraint(
            model_name="spent",
            constraint=models.UniqueConstraint(fields=("day", "scope"), name="one_sum_per_day_and_scope"),
        ),
        migrations.RunSQL(ADD, REMOVE),
    ]
