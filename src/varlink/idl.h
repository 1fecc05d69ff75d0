/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Interfaces, as Varlink's interface definition language (https://varlink.org/Interface-Definition) describes them. The
 * text of an interface is the only place that says which parameters a method takes: calls are checked against it.
 *
 * Functions allocate nothing, and may be called from any thread.
 */
#ifndef IDL_H
#define IDL_H

#include <stdbool.h>
#include <stddef.h>

struct json_object;

/* The texts of the files of these names in this folder. */
extern const char idl_device[];  /* org.zsblk.Device */
extern const char idl_daemon[];  /* org.zsblk.Daemon */
extern const char idl_service[]; /* org.varlink.service */

#define IDL_NAME_MAX 64u

/* The interface's name: `length` characters from *name on. */
void idl_name(const char *idl, const char **name, size_t *length);

/* True if the interface has a method of this name. */
bool idl_has_method(const char *idl, const char *method);

/* The n-th method's name, from 0 on; false past the last one. Names have fewer than IDL_NAME_MAX characters. */
bool idl_method(const char *idl, unsigned n, char name[IDL_NAME_MAX]);

/*
 * Check the parameters of a call. NULL, or an object: null stands for a parameter that is not given. False if one is missing, of the
 * wrong type, or unknown; its name, as far as there is room, goes to `wrong`. Types that are checked: bool, int (64 bits), float, string and
 * enumerations. No parameter of ours has another one.
 */
bool idl_check(const char *idl, const char *method, struct json_object *parameters, char wrong[IDL_NAME_MAX]);

#endif
