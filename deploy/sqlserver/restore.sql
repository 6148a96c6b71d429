-- Restores the backup as AdventureWorks, unless it is there already; lets changes be tracked and read from a snapshot; makes
-- the login `aw_reader`, which may only read. READER_PASSWORD comes from the environment.
:on error exit
set nocount on;

if db_id('AdventureWorks') is null
begin
    declare @files table (
        LogicalName nvarchar(128), PhysicalName nvarchar(260), Type char(1), FileGroupName nvarchar(128), Size numeric(20, 0),
        MaxSize numeric(20, 0), FileId bigint, CreateLSN numeric(25, 0), DropLSN numeric(25, 0), UniqueId uniqueidentifier,
        ReadOnlyLSN numeric(25, 0), ReadWriteLSN numeric(25, 0), BackupSizeInBytes bigint, SourceBlockSize int,
        FileGroupId int, LogGroupGUID uniqueidentifier, DifferentialBaseLSN numeric(25, 0),
        DifferentialBaseGUID uniqueidentifier, IsReadOnly bit, IsPresent bit, TDEThumbprint varbinary(32),
        SnapshotUrl nvarchar(360)
    );
    insert into @files exec ('restore filelistonly from disk = ''/backup/AdventureWorks.bak''');
    -- The paths in the backup are those of the machine that it was made on.
    declare @restore nvarchar(max) = 'restore database AdventureWorks from disk = ''/backup/AdventureWorks.bak'' with ';
    select @restore = @restore + string_agg(
        cast('move ' + quotename(LogicalName, '''') + ' to ''/var/opt/mssql/data/AdventureWorks_'
            + cast(FileId as varchar(9)) + iif(Type = 'L', '.ldf''', '.mdf''') as nvarchar(max)), ', ')
    from @files;
    exec (@restore);
end;
go

if not exists (select * from sys.change_tracking_databases where database_id = db_id('AdventureWorks'))
    alter database AdventureWorks set change_tracking = on (change_retention = 14 days, auto_cleanup = on);
alter database AdventureWorks set allow_snapshot_isolation on;
go

use AdventureWorks;
go

declare @track nvarchar(max);
select @track = string_agg(
    cast('alter table ' + quotename(schema_name(t.schema_id)) + '.' + quotename(t.name) + ' enable change_tracking;'
        as nvarchar(max)), ' ')
from sys.tables as t
where exists (select * from sys.key_constraints as k where k.parent_object_id = t.object_id and k.type = 'PK')
    and not exists (select * from sys.change_tracking_tables as c where c.object_id = t.object_id);
if @track is not null exec (@track);

if suser_id('aw_reader') is null
    create login aw_reader with password = '$(READER_PASSWORD)', default_database = AdventureWorks;
if user_id('aw_reader') is null
    create user aw_reader for login aw_reader;
alter role db_datareader add member aw_reader;
grant view definition to aw_reader;
declare @grant nvarchar(max);
select @grant = string_agg(
    cast('grant view change tracking on schema::' + quotename(name) + ' to aw_reader;' as nvarchar(max)), ' ')
from (select distinct schema_name(schema_id) as name from sys.tables) as s;
exec (@grant);
go
