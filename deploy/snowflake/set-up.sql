-- Creates what the platform needs in Snowflake: database, virtual warehouse, a limit on its cost, three roles, one login.
-- Run it once as ACCOUNTADMIN, because only this role may create a resource monitor. Nothing needs it afterwards.
--
--   loader       writes the source tables, what is staged, and the rows in quarantine
--   transformer  all that, and the marts: the role of the platform's own login
--   reader       reads source tables, marts and quarantine: for people and for their tools

use role sysadmin;

-- No collation: texts are compared by their characters' codes, whatever the account's default is.
create database if not exists DBT_DB default_ddl_collation = '';

create warehouse if not exists ADVENTUREWORKS
    warehouse_size = xsmall
    auto_suspend = 60
    auto_resume = true
    initially_suspended = true
    statement_timeout_in_seconds = 3600
    comment = 'The AdventureWorks platform. It suspends a minute after the last statement.';

-- The limit: 650 credits a month, what a source that changes at the worst intervals needs (docs/operate/snowflake.md#cost).
-- Choose a lower one if yours changes less often. At the limit, running statements finish and the warehouse suspends; the platform retries until the next month or a higher limit.
use role accountadmin;

create resource monitor if not exists ADVENTUREWORKS with
    credit_quota = 650
    frequency = monthly
    start_timestamp = immediately
    triggers
        on 50 percent do notify
        on 80 percent do notify
        on 100 percent do suspend;
alter warehouse ADVENTUREWORKS set resource_monitor = ADVENTUREWORKS;

use role sysadmin;

create schema if not exists DBT_DB.DBT_SCHEMA with managed access;
create schema if not exists DBT_DB.MARTS with managed access;
create schema if not exists DBT_DB.STAGING with managed access;
create schema if not exists DBT_DB.QUARANTINE with managed access;
create schema if not exists DBT_DB.OPS with managed access;

use role securityadmin;

create role if not exists ADVENTUREWORKS_LOADER;
create role if not exists ADVENTUREWORKS_TRANSFORMER;
create role if not exists ADVENTUREWORKS_READER;
grant role ADVENTUREWORKS_LOADER to role ADVENTUREWORKS_TRANSFORMER;
grant role ADVENTUREWORKS_TRANSFORMER to role SYSADMIN;
grant role ADVENTUREWORKS_READER to role SYSADMIN;

grant usage on warehouse ADVENTUREWORKS to role ADVENTUREWORKS_LOADER;
grant usage on warehouse ADVENTUREWORKS to role ADVENTUREWORKS_READER;
grant usage on database DBT_DB to role ADVENTUREWORKS_LOADER;
grant usage on database DBT_DB to role ADVENTUREWORKS_READER;

grant usage, create table, create view on schema DBT_DB.DBT_SCHEMA to role ADVENTUREWORKS_LOADER;
grant usage, create table, create view, create stage on schema DBT_DB.STAGING to role ADVENTUREWORKS_LOADER;
grant usage, create table, create view on schema DBT_DB.QUARANTINE to role ADVENTUREWORKS_LOADER;
grant usage, create table, create view on schema DBT_DB.OPS to role ADVENTUREWORKS_LOADER;
grant usage, create table, create view on schema DBT_DB.MARTS to role ADVENTUREWORKS_TRANSFORMER;

grant usage on schema DBT_DB.DBT_SCHEMA to role ADVENTUREWORKS_READER;
grant usage on schema DBT_DB.MARTS to role ADVENTUREWORKS_READER;
grant usage on schema DBT_DB.QUARANTINE to role ADVENTUREWORKS_READER;
grant select on future tables in schema DBT_DB.DBT_SCHEMA to role ADVENTUREWORKS_READER;
grant select on future tables in schema DBT_DB.MARTS to role ADVENTUREWORKS_READER;
grant select on future views in schema DBT_DB.QUARANTINE to role ADVENTUREWORKS_READER;

-- A user of type SERVICE has no password and cannot use one. It signs in with a key: enter the public one below, and the
-- private one in the Airflow connection. (OAuth or a programmatic access token also work.)
create user if not exists ADVENTUREWORKS_PLATFORM
    type = service
    default_role = ADVENTUREWORKS_TRANSFORMER
    default_warehouse = ADVENTUREWORKS
    default_namespace = DBT_DB.DBT_SCHEMA;
-- alter user ADVENTUREWORKS_PLATFORM set rsa_public_key = '…';
grant role ADVENTUREWORKS_TRANSFORMER to user ADVENTUREWORKS_PLATFORM;
