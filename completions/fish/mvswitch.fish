# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_mvswitch_global_optspecs
    string join \n c/config= runtime-dir= stats-period= log-level= h/help V/version
end

function __fish_mvswitch_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_mvswitch_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_mvswitch_using_subcommand
    set -l cmd (__fish_mvswitch_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c mvswitch -n "__fish_mvswitch_needs_command" -s c -l config -d 'The config to run, such as config/two-ports.toml' -r -F
complete -c mvswitch -n "__fish_mvswitch_needs_command" -l runtime-dir -d 'Where sockets live' -r -F
complete -c mvswitch -n "__fish_mvswitch_needs_command" -l stats-period -d 'Print a table of all ports this often' -r
complete -c mvswitch -n "__fish_mvswitch_needs_command" -l log-level -d 'What to log on standard error: error, warn, info, debug, trace, or a filter such as info,dpdk=debug' -r
complete -c mvswitch -n "__fish_mvswitch_needs_command" -s h -l help -d 'Print help'
complete -c mvswitch -n "__fish_mvswitch_needs_command" -s V -l version -d 'Print version'
complete -c mvswitch -n "__fish_mvswitch_needs_command" -a "check" -d 'Validate a config without starting anything'
complete -c mvswitch -n "__fish_mvswitch_needs_command" -a "doctor" -d 'Look at this machine: what a switch finds here, and what mends what is missing'
complete -c mvswitch -n "__fish_mvswitch_needs_command" -a "import" -d 'Print the config that does what the kernel\'s macvlan links on an interface do'
complete -c mvswitch -n "__fish_mvswitch_needs_command" -a "schema" -d 'Print the JSON Schema of the config, for editors'
complete -c mvswitch -n "__fish_mvswitch_needs_command" -a "demo" -d 'Attach two tiny guests to a running switch and let them ping'
complete -c mvswitch -n "__fish_mvswitch_needs_command" -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c mvswitch -n "__fish_mvswitch_using_subcommand check" -s c -l config -d 'The config to validate' -r -F
complete -c mvswitch -n "__fish_mvswitch_using_subcommand check" -l log-level -d 'What to log on standard error: error, warn, info, debug, trace, or a filter such as info,dpdk=debug' -r
complete -c mvswitch -n "__fish_mvswitch_using_subcommand check" -s h -l help -d 'Print help'
complete -c mvswitch -n "__fish_mvswitch_using_subcommand doctor" -s c -l config -d 'Look at what this config needs, its devices and sockets included' -r -F
complete -c mvswitch -n "__fish_mvswitch_using_subcommand doctor" -l runtime-dir -d 'Where sockets are to live' -r -F
complete -c mvswitch -n "__fish_mvswitch_using_subcommand doctor" -l log-level -d 'What to log on standard error: error, warn, info, debug, trace, or a filter such as info,dpdk=debug' -r
complete -c mvswitch -n "__fish_mvswitch_using_subcommand doctor" -s j -l json -d 'Print a JSON array of objects with check, state, found and mend'
complete -c mvswitch -n "__fish_mvswitch_using_subcommand doctor" -s h -l help -d 'Print help'
complete -c mvswitch -n "__fish_mvswitch_using_subcommand import" -l log-level -d 'What to log on standard error: error, warn, info, debug, trace, or a filter such as info,dpdk=debug' -r
complete -c mvswitch -n "__fish_mvswitch_using_subcommand import" -s h -l help -d 'Print help'
complete -c mvswitch -n "__fish_mvswitch_using_subcommand schema" -l log-level -d 'What to log on standard error: error, warn, info, debug, trace, or a filter such as info,dpdk=debug' -r
complete -c mvswitch -n "__fish_mvswitch_using_subcommand schema" -s h -l help -d 'Print help'
complete -c mvswitch -n "__fish_mvswitch_using_subcommand demo" -l runtime-dir -d 'Runtime directory of the running switch' -r -F
complete -c mvswitch -n "__fish_mvswitch_using_subcommand demo" -l count -d 'Pings per pair' -r
complete -c mvswitch -n "__fish_mvswitch_using_subcommand demo" -l log-level -d 'What to log on standard error: error, warn, info, debug, trace, or a filter such as info,dpdk=debug' -r
complete -c mvswitch -n "__fish_mvswitch_using_subcommand demo" -s h -l help -d 'Print help'
complete -c mvswitch -n "__fish_mvswitch_using_subcommand help; and not __fish_seen_subcommand_from check doctor import schema demo help" -f -a "check" -d 'Validate a config without starting anything'
complete -c mvswitch -n "__fish_mvswitch_using_subcommand help; and not __fish_seen_subcommand_from check doctor import schema demo help" -f -a "doctor" -d 'Look at this machine: what a switch finds here, and what mends what is missing'
complete -c mvswitch -n "__fish_mvswitch_using_subcommand help; and not __fish_seen_subcommand_from check doctor import schema demo help" -f -a "import" -d 'Print the config that does what the kernel\'s macvlan links on an interface do'
complete -c mvswitch -n "__fish_mvswitch_using_subcommand help; and not __fish_seen_subcommand_from check doctor import schema demo help" -f -a "schema" -d 'Print the JSON Schema of the config, for editors'
complete -c mvswitch -n "__fish_mvswitch_using_subcommand help; and not __fish_seen_subcommand_from check doctor import schema demo help" -f -a "demo" -d 'Attach two tiny guests to a running switch and let them ping'
complete -c mvswitch -n "__fish_mvswitch_using_subcommand help; and not __fish_seen_subcommand_from check doctor import schema demo help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
