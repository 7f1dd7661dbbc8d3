-- Months are made and dropped by functions that run with the owner's rights, so that the persister needs no more than to
-- write rows: whoever has its password can neither change a table nor drop another one.
--
-- In a function with the owner's rights every name is looked up in one schema, and temporary tables last: a caller could
-- have one of the same name otherwise.

CREATE FUNCTION penstock_make_month(first_day date) RETURNS void LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    month    date := date_trunc('month', first_day);
    parent   text;
    months   text;
BEGIN
    -- One at a time, over all persisters.
    PERFORM pg_advisory_xact_lock(7236834, 2);
    FOREACH parent IN ARRAY ARRAY['messages', 'message_statuses', 'duplicates', 'message_attachments'] LOOP
        months := format('%s_%s', parent, to_char(month, 'YYYY_MM'));
        IF NOT EXISTS (
            SELECT FROM pg_inherits WHERE inhrelid = to_regclass(months) AND inhparent = parent::regclass
        ) THEN
            -- A table of its own that is attached then waits for no reader and stops nobody; CREATE TABLE .. PARTITION OF
            -- would wait for the longest query on the parent, with every writer behind it.
            EXECUTE format(
                'CREATE TABLE IF NOT EXISTS %I (
                    LIKE %I INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING GENERATED INCLUDING STORAGE
                )', months, parent);
            EXECUTE format(
                'ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
                parent, months, month::text || ' 00:00:00+00', (month + interval '1 month')::date::text || ' 00:00:00+00');
        END IF;
    END LOOP;
END $$;

CREATE FUNCTION penstock_drop_month(parent text, first_day date) RETURNS void LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    IF parent <> ALL (ARRAY['messages', 'message_statuses', 'duplicates', 'message_attachments']) THEN
        RAISE EXCEPTION 'the table % has no months', parent USING ERRCODE = 'invalid_parameter_value';
    END IF;
    -- The lock stops everybody else, so a month that is being read is dropped another time.
    SET LOCAL lock_timeout = '1s';
    EXECUTE format('DROP TABLE IF EXISTS %I', format('%s_%s', parent, to_char(date_trunc('month', first_day), 'YYYY_MM')));
END $$;

DO $$
DECLARE
    signature text;
BEGIN
    FOREACH signature IN ARRAY ARRAY['penstock_make_month(date)', 'penstock_drop_month(text, date)'] LOOP
        EXECUTE format('ALTER FUNCTION %s SET search_path = %I, pg_temp', signature, current_schema());
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', signature);
    END LOOP;
END $$;
