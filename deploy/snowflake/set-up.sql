-- Makes in Snowflake what the platform needs: database, warehouse, three roles, one login. Run once, with a role that may
-- (SECURITYADMIN and SYSADMIN, or ACCOUNTADMIN); afterwards nothing needs an administrator's role.
--
--   loader       writes the source tables, what is staged, and the rows in quarantine
--   transformer  all that, and the marts: the role of the platform's own login
--   reader       reads source tables, marts and quarantine: for people and for their tools

use role sysadmin;

create database if not exists DBT_DB;

create warehouse if not exists ADVENTUREWORKS
    warehouse_size = xsmall
    auto_suspend = 60
    auto_resume = true
    initially_suspended = true
    statement_timeout_in_seconds = 3600
    comment = 'The AdventureWorks platform. It sleeps a minute after the last change.';

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

-- The platform's login signs in with a key: put the public one here, and the private one into the Airflow connection.
create user if not exists ADVENTUREWORKS_PLATFORM
    type = service
    default_role = ADVENTUREWORKS_TRANSFORMER
    default_warehouse = ADVENTUREWORKS
    default_namespace = DBT_DB.DBT_SCHEMA;
-- alter user ADVENTUREWORKS_PLATFORM set rsa_public_key = '…';
grant role ADVENTUREWORKS_TRANSFORMER to user ADVENTUREWORKS_PLATFORM;
