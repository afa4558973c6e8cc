//! Which object makes which, what each needs, and which are made in two steps.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::kinds::{Body, Constraint};
use crate::render::{Draft, Part, Target};
use crate::{Catalog, CatalogIndex, Object, QualifiedName, Section, TocError};

/// How every object of a catalog comes into being. Objects are named by their
/// place in [`Catalog::objects`].
pub(super) struct Plan<'a> {
    pub(super) catalog: &'a Catalog,
    pub(super) index: CatalogIndex,
    /// The drafts of each object; none for members of extensions and for
    /// objects that another's statement makes.
    pub(super) drafts: Vec<Vec<Draft>>,
    /// The object whose statement makes each: itself, its extension, the table
    /// of an inline constraint; `None` where nothing does.
    pub(super) makers: Vec<Option<usize>>,
    /// What each maker needs before its main part: makers.
    pub(super) needs: Vec<Vec<usize>>,
    /// What the parts that follow the main one need besides it.
    pub(super) later_needs: HashMap<usize, Vec<usize>>,
    /// Types that are declared before they are defined.
    pub(super) shells: BTreeSet<usize>,
    /// Functions that make do with a declared type.
    pub(super) shell_needs: HashMap<usize, Vec<usize>>,
    /// Views and domains that are made in two steps.
    pub(super) split: BTreeSet<usize>,
    /// Tables, each with what the expression of a column names that cannot be there before it.
    pub(super) in_vain: Vec<(usize, usize)>,
    names: Names<'a>,
}

impl<'a> Plan<'a> {
    pub(super) fn new(catalog: &'a Catalog, target: &Target) -> Result<Self, TocError> {
        let names = Names::new(&catalog.objects);
        let mut drafts: Vec<Vec<Draft>> =
            catalog.objects.iter().map(|object| drafts_of(object, target)).collect();
        replace_policies_of_members(catalog, &mut drafts);
        let makers = makers(catalog, &drafts, &names);
        let mut plan = Plan {
            catalog,
            index: CatalogIndex::new(catalog),
            needs: vec![Vec::new(); catalog.objects.len()],
            drafts,
            makers,
            later_needs: HashMap::new(),
            shells: BTreeSet::new(),
            shell_needs: HashMap::new(),
            split: BTreeSet::new(),
            in_vain: Vec::new(),
            names,
        };
        plan.gather_needs();
        plan.repair()?;
        Ok(plan)
    }

    pub(super) fn object(&self, place: usize) -> &'a Object {
        &self.catalog.objects[place]
    }

    /// The maker of the object at a place of the catalog's.
    pub(super) fn maker_of(&self, id: crate::ObjectId) -> Option<usize> {
        self.index.place(id).and_then(|place| self.makers[place])
    }

    /// The section of a maker's main part.
    pub(super) fn section(&self, place: usize) -> Section {
        self.drafts[place].first().map_or(Section::PreData, |draft| draft.section)
    }

    /// The relation of a name, as a place.
    pub(super) fn relation(&self, name: &QualifiedName) -> Option<usize> {
        self.names.relations.get(&(name.schema.as_str(), name.name.as_str())).copied()
    }

    /// The schema of a name, as a place.
    pub(super) fn schema(&self, name: &str) -> Option<usize> {
        self.names.schemas.get(name).copied()
    }

    fn gather_needs(&mut self) {
        for edge in &self.catalog.dependencies {
            let (Some(dependent), Some(referenced)) =
                (self.index.place(edge.dependent), self.index.place(edge.referenced))
            else {
                continue;
            };
            let (Some(maker), Some(needed)) = (self.makers[dependent], self.makers[referenced]) else {
                continue;
            };
            if maker == needed || self.drafts[maker].is_empty() {
                continue;
            }
            // A partition's index is made before it is attached to its parent's. One that names another by a
            // constant needs it to be made.
            let is_attached = matches!(edge.deptype, 'P' | 'S')
                && is_index_like(self.object(maker))
                && is_index_like(self.object(needed));
            if is_attached {
                self.later_needs.entry(maker).or_default().push(needed);
            } else {
                self.needs[maker].push(needed);
            }
        }
        self.validate_behind_parents();
        self.own_behind_tables();
        for place in 0..self.drafts.len() {
            let required = self.drafts[place].iter().filter(|draft| draft.part == Part::Main);
            let required = required.flat_map(|draft| &draft.requires).filter_map(|id| self.maker_of(*id));
            let required: Vec<usize> = required.filter(|&maker| maker != place).collect();
            self.needs[place].extend(required);
            self.needs[place].sort_unstable();
            self.needs[place].dedup();
        }
    }

    /// Lets a sequence become a column's once the table is there.
    fn own_behind_tables(&mut self) {
        for place in 0..self.drafts.len() {
            let Body::Sequence(sequence) = &self.object(place).body else { continue };
            let Some(owner) = sequence.owned_by.as_ref().filter(|owner| owner.identity.is_none()) else {
                continue;
            };
            let table = self.relation(&owner.table).and_then(|table| self.makers[table]);
            self.later_needs.entry(place).or_default().extend(table);
        }
    }

    /// Lets what makes a child's constraint valid follow what makes its parents', which it comes with.
    fn validate_behind_parents(&mut self) {
        for place in 0..self.drafts.len() {
            let object = self.object(place);
            let Body::Constraint(constraint) = &object.body else { continue };
            if constraint.validated_later {
                let parents = self.names.parents_of(self.catalog, constraint, &object.name);
                let makers: Vec<usize> = parents.filter_map(|parent| self.makers[parent]).collect();
                self.needs[place].extend(makers);
            }
        }
    }
}

/// A policy on an extension's table is no member of the extension although its script may make it, so that
/// it may be there already, and not be what the user has made of it.
fn replace_policies_of_members(catalog: &Catalog, drafts: &mut [Vec<Draft>]) {
    let members = catalog.member_tables();
    for (object, drafts) in catalog.objects.iter().zip(drafts) {
        let Body::Policy(policy) = &object.body else { continue };
        for draft in drafts.iter_mut().filter(|_| members.contains(&policy.table)) {
            if let Some(drop) = &draft.drop {
                draft.create.insert(0, format!("{} IF EXISTS {}", drop.command, drop.object));
            }
        }
    }
}

/// The drafts of one object, with no room for more: there may be a million.
fn drafts_of(object: &Object, target: &Target) -> Vec<Draft> {
    if object.extension.is_some() {
        return Vec::new();
    }
    let mut drafts = object.body.render(object, target);
    drafts.iter_mut().flat_map(|draft| &mut draft.create).for_each(String::shrink_to_fit);
    drafts.shrink_to_fit();
    drafts
}

/// Whether it is an index or a constraint that owns one.
fn is_index_like(object: &Object) -> bool {
    match &object.body {
        Body::Index(_) => true,
        Body::Constraint(constraint) => constraint.index.is_some(),
        _ => false,
    }
}

/// Objects by name, where one names another.
struct Names<'a> {
    relations: HashMap<(&'a str, &'a str), usize>,
    constraints: HashMap<(&'a str, &'a str, &'a str), usize>,
    extensions: HashMap<&'a str, usize>,
    schemas: HashMap<&'a str, usize>,
}

impl<'a> Names<'a> {
    fn new(objects: &'a [Object]) -> Self {
        let mut names = Names {
            relations: HashMap::new(),
            constraints: HashMap::new(),
            extensions: HashMap::new(),
            schemas: HashMap::new(),
        };
        for (place, object) in objects.iter().enumerate() {
            let schema = object.schema.as_deref().unwrap_or_default();
            match &object.body {
                Body::Table(_) | Body::View(_) | Body::MaterializedView(_) | Body::Sequence(_) => {
                    names.relations.insert((schema, &object.name), place);
                }
                Body::Constraint(constraint) => {
                    names
                        .constraints
                        .insert((&constraint.table.schema, &constraint.table.name, &object.name), place);
                }
                Body::Extension(_) => {
                    names.extensions.insert(&object.name, place);
                }
                Body::Schema(_) => {
                    names.schemas.insert(&object.name, place);
                }
                _ => {}
            }
        }
        names
    }

    fn relation(&self, name: &QualifiedName) -> Option<usize> {
        self.relations.get(&(name.schema.as_str(), name.name.as_str())).copied()
    }

    /// The constraints of a table's parents that one of the table's own is a copy of.
    fn parents_of(
        &self,
        catalog: &'a Catalog,
        constraint: &Constraint,
        name: &str,
    ) -> impl Iterator<Item = usize> {
        let table = self.relation(&constraint.table).map(|place| &catalog.objects[place].body);
        let parents: Vec<&QualifiedName> = match table {
            Some(Body::Table(table)) => {
                table.inherits.iter().chain(table.partition_of.as_ref().map(|of| &of.parent)).collect()
            }
            _ => Vec::new(),
        };
        let same = |parent: &QualifiedName| {
            self.constraints.get(&(parent.schema.as_str(), parent.name.as_str(), name)).copied()
        };
        parents.into_iter().filter_map(same).collect::<Vec<_>>().into_iter()
    }

    /// The constraint of a table above, made by a statement of its own, with which a child's copy comes.
    fn original(&self, catalog: &'a Catalog, drafts: &[Vec<Draft>], object: &Object) -> Option<usize> {
        let mut open = vec![object];
        let mut seen = BTreeSet::new();
        while let Some(copy) = open.pop() {
            let Body::Constraint(constraint) = &copy.body else { continue };
            for parent in self.parents_of(catalog, constraint, &copy.name) {
                if !drafts[parent].is_empty() {
                    return Some(parent);
                }
                if seen.insert(parent) {
                    open.push(&catalog.objects[parent]);
                }
            }
        }
        None
    }

    /// The object whose statement makes one that renders nothing itself.
    fn host(&self, catalog: &'a Catalog, drafts: &[Vec<Draft>], object: &Object) -> Option<usize> {
        match &object.body {
            Body::Index(index) => {
                let (table, constraint) = (&index.table, index.constraint.as_deref()?);
                self.constraints.get(&(table.schema.as_str(), table.name.as_str(), constraint)).copied()
            }
            Body::Constraint(constraint) => {
                let original = (!constraint.is_local).then(|| self.original(catalog, drafts, object));
                original.flatten().or_else(|| self.relation(&constraint.table))
            }
            Body::ColumnDefault(default) => self.relation(&default.table),
            _ => None,
        }
    }
}

fn makers(catalog: &Catalog, drafts: &[Vec<Draft>], names: &Names<'_>) -> Vec<Option<usize>> {
    let direct = |place: usize| -> Option<usize> {
        let object = &catalog.objects[place];
        match &object.extension {
            Some(extension) => names.extensions.get(extension.as_str()).copied(),
            None if drafts[place].is_empty() => names.host(catalog, drafts, object),
            None => Some(place),
        }
    };
    // A host may itself be a member of an extension.
    (0..catalog.objects.len())
        .map(|place| {
            let maker = direct(place)?;
            if maker == place { Some(maker) } else { direct(maker) }
        })
        .collect()
}

/// Needs of a set of makers, turned around.
pub(super) fn needed_by(needs: &[Vec<usize>]) -> BTreeMap<usize, Vec<usize>> {
    let mut turned: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (place, list) in needs.iter().enumerate() {
        for &need in list {
            turned.entry(need).or_default().push(place);
        }
    }
    turned
}
