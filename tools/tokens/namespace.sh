# namespace FLAGS SCRIPT [ARGUMENT…] runs a script again in namespaces of its own,
# and returns where it is in them. Root needs no more; others need a namespace
# of users, in which TOKEN_NAMESPACE is "user".
namespace() {
	[ -z "${TOKEN_NAMESPACE:-}" ] || return 0
	local flags=$1
	shift
	export TOKEN_NAMESPACE=root
	if [ "$(id -u)" != 0 ]; then
		flags="-r $flags"
		TOKEN_NAMESPACE=user
	fi
	if ! unshare $flags -- true; then
		echo "$1: this token's folders are laid over those of the system, for which the kernel must allow a mount namespace:" >&2
		echo "  run it as root (in a container: with --cap-add SYS_ADMIN and a seccomp profile that lets unshare and mount pass)," >&2
		echo "  or as a user where user namespaces are allowed (sysctl user.max_user_namespaces, kernel.unprivileged_userns_clone)" >&2
		exit 1
	fi
	exec unshare $flags -- "$@"
}
